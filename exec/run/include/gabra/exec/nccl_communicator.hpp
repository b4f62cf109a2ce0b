// SPDX-License-Identifier: MIT
#pragma once

#ifdef GABRA_WITH_CUDA

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <memory>

namespace gabra::exec {

struct NcclOptions {
  int index = 0;  ///< of the GPU in this process
  /// prepare() gives up when other ranks have not done their part of a communicator after so long.
  double time_limit_s = 300.0;
};

/// Tensors of CUDA ranks over NCCL, enqueued on the current CUDA stream: one NCCL communicator per group of a
/// collective and per directed pair, so that streams do not wait for each other. Ids go round by MPI in prepare(),
/// which also makes all connections: start() waits for nobody.
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(const MpiWorld& world, const NcclOptions& options);

}  // namespace gabra::exec

#endif
