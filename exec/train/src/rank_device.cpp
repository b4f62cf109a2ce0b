// SPDX-License-Identifier: MIT
#include "gabra/exec/rank_device.hpp"

#include "data_set.hpp"
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/cuda_device.hpp"
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/exec/nccl_communicator.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <vector>

namespace gabra::exec {
namespace {

#ifdef GABRA_WITH_CUDA
/// Without a GPU, or with more ranks than GPUs, on the machine of any rank: on all ranks. One rank of each machine says
/// it, and what several say alike is said once.
void check_gpus(const MpiWorld& world) {
  FaultList faults;
  const int gpus = cuda_device_count();
  if (world.local_rank() == gpus)
    faults.add("--device",
               gpus == 0
                   ? "cuda, on a machine without a GPU"
                   : fmt::format("cuda, with more ranks on a machine than its {} {}", gpus, gpus == 1 ? "GPU" : "GPUs"),
               "a GPU for every rank; --device cpu does without");
  throw_together(world, faults);
}

std::unique_ptr<Communicator> make_cuda_communicator(const MpiWorld& world, Seconds timeout) {
  check_gpus(world);
  // Sooner than a Monitor with the same time limit, which does not know whom NCCL waits for.
  constexpr double kShare = 0.8;
  return make_nccl_communicator(world, {.index = world.local_rank(), .time_limit_s = kShare * timeout.value()});
}
#else
[[noreturn]] void refuse_cuda() {
  throw_input_error("--device", "cuda, in a gabra-exec built without it", "cpu, or a build with -DGABRA_WITH_CUDA=ON");
}
void check_gpus(const MpiWorld&) { refuse_cuda(); }
std::unique_ptr<Communicator> make_cuda_communicator(const MpiWorld&, Seconds) { refuse_cuda(); }
#endif

}  // namespace

void check_hardware(Hardware hardware, const MpiWorld& world) {
  if (hardware == Hardware::Cuda) check_gpus(world);
}

std::unique_ptr<Communicator> make_communicator(Hardware hardware, const MpiWorld& world, Seconds timeout) {
  return hardware == Hardware::Cuda ? make_cuda_communicator(world, timeout) : make_mpi_communicator(world);
}

std::unique_ptr<Device> make_device(Hardware hardware, const Program& program, const MpiWorld& world,
                                    Communicator& communicator, Seconds timeout) {
#ifdef GABRA_WITH_CUDA
  if (hardware == Hardware::Cuda)
    return make_cuda_device(program, communicator, {.index = world.local_rank(), .time_limit_s = timeout.value()});
#endif
  GABRA_CHECK(hardware == Hardware::Cpu, fmt::format("rank {}: a communicator was made first", world.rank()));
  return make_cpu_device(program, communicator, {.time_limit_s = timeout.value()});
}

RankDevice make_rank_device(const TrainJob& job, const Program& program, const MpiWorld& world) {
  RankDevice result;
  result.communicator = make_communicator(job.hardware, world, job.timeout);
  result.device = make_device(job.hardware, program, world, *result.communicator, job.timeout);
  return result;
}

c10::Device lone_device(Hardware hardware) {
  if (hardware == Hardware::Cpu) return c10::Device(c10::DeviceType::CPU);
#ifdef GABRA_WITH_CUDA
  if (cuda_device_count() == 0)
    throw_input_error("--device", "cuda, on a machine without a GPU", "a GPU; --device cpu does without");
  set_cuda_arithmetic();
  return {c10::DeviceType::CUDA, 0};
#else
  refuse_cuda();
#endif
}

void bind_to_cores(int local_rank, std::int64_t threads) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  const auto first = static_cast<std::size_t>(local_rank) * static_cast<std::size_t>(threads);
  // Bound already (by srun or mpirun), or more ranks than cores: leave it to the system.
  if (first + static_cast<std::size_t>(threads) > cores.size()) return;
  cpu_set_t own;
  CPU_ZERO(&own);
  for (std::size_t i = 0; i < static_cast<std::size_t>(threads); ++i) CPU_SET(cores[first + i], &own);
  ::sched_setaffinity(0, sizeof own, &own);
}

}  // namespace gabra::exec
