// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <cstddef>
#include <span>
#include <vector>

namespace gabra::exec {

/// Messages under way over memory of `owner`. Should they be given up, MPI may still touch the memory: it is then
/// never freed (a rank that gives up is about to end).
class MpiRequests {
 public:
  explicit MpiRequests(at::Tensor owner) : owner_(std::move(owner)) {}
  MpiRequests(const MpiRequests&) = delete;
  MpiRequests& operator=(const MpiRequests&) = delete;
  ~MpiRequests();

  /// `bytes` at most 2^31 - 1.
  std::size_t send(const void* data, std::size_t bytes, int rank, int tag, MPI_Comm comm);
  std::size_t receive(void* data, std::size_t bytes, int rank, int tag, MPI_Comm comm);
  /// Whether request `index`, as send() or receive() returned it, is done.
  [[nodiscard]] bool is_done(std::size_t index);
  [[nodiscard]] bool are_all_done();

 private:
  at::Tensor owner_;
  std::vector<MPI_Request> requests_;
};

}  // namespace gabra::exec
