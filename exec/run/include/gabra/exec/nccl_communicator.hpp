// SPDX-License-Identifier: MIT
#pragma once

#ifdef GABRA_WITH_CUDA

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <c10/core/Device.h>

#include <memory>

namespace gabra::exec {

/// Tensors of CUDA ranks over NCCL, enqueued on the current CUDA stream: one NCCL communicator per group of a
/// collective and per directed pair, so that streams do not wait for each other. Ids go round by MPI in prepare().
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(const MpiWorld& world, c10::Device device);

}  // namespace gabra::exec

#endif
