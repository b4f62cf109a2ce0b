// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

namespace gabra::exec {

/// What one rank computes and communicates with.
struct RankDevice {
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<Device> device;
};

/// Throws InputError, on all ranks, where there are fewer GPUs than ranks on a machine, or the executor was built
/// without CUDA: before long work that would be in vain. Collective.
void check_hardware(Hardware hardware, const MpiWorld& world);

/// MPI for CPU cores, NCCL for GPUs: rank r of a machine has its GPU r. Throws InputError as check_hardware()
/// does. Collective over `world`, which must outlive it. NCCL's prepare() gives up after `timeout`; MPI's has no limit
/// of its own.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator(Hardware hardware, const MpiWorld& world,
                                                              Seconds timeout = Seconds(300.0));
/// The device of this rank; a transfer without progress for `timeout` is a DeviceError.
[[nodiscard]] std::unique_ptr<Device> make_device(Hardware hardware, const Program& program, const MpiWorld& world,
                                                  Communicator& communicator, Seconds timeout);
/// Both.
[[nodiscard]] RankDevice make_rank_device(const TrainJob& job, const Program& program, const MpiWorld& world);

/// Where a process without ranks computes: the CPU, or the first GPU, set up as a rank's is. Throws InputError where
/// there is none.
[[nodiscard]] c10::Device lone_device(Hardware hardware);

/// Binds this process to `threads` cores of its own where the machine has enough for all its ranks; threads that
/// exist already are left alone.
void bind_to_cores(int local_rank, std::int64_t threads);

}  // namespace gabra::exec
