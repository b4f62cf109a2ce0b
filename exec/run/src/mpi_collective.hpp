// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace gabra::exec {

/// The members of a collective, as ranks of `world`, and the tags that are theirs alone.
struct MpiGroup {
  MPI_Comm world = MPI_COMM_NULL;
  std::vector<int> ranks;
  std::size_t own = 0;  ///< position of this rank
  int tag = 0;          ///< `tag` and `tag + 1`
};

/// Starts summing `tensor` over the group, in place. `group` must outlive the result.
[[nodiscard]] std::unique_ptr<Communicator::Pending> start_all_reduce(const MpiGroup& group, const at::Tensor& tensor);

}  // namespace gabra::exec
