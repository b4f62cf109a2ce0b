// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <memory>

namespace gabra::exec {

/// Tensors of CPU ranks over MPI: float32, float64 and bfloat16 (sums rounded after every addition, added in float32).
///
/// A collective is made of messages between its members, sized so that what is added stays in the cache: every member
/// sums one slice of the tensor, in the cyclic order of members from itself, and sends the sum to the others; small
/// ones go whole to every member, which adds them in the order of members. So all members get the same bits, and get
/// them again in the next run. Measured against MPI_Iallreduce in exec/run/README.md.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(const MpiWorld& world);

}  // namespace gabra::exec
