// SPDX-License-Identifier: MIT
#include "mpi_request.hpp"

#include "mpi_check.hpp"

#include <algorithm>

namespace gabra::exec {

MpiRequests::~MpiRequests() {
  const bool is_idle = std::all_of(requests_.begin(), requests_.end(),
                                   [](const MPI_Request& request) { return request == MPI_REQUEST_NULL; });
  if (!is_idle) (void)owner_.unsafeReleaseTensorImpl();  // never freed, on purpose
}

std::size_t MpiRequests::send(const void* data, std::size_t bytes, int rank, int tag, MPI_Comm comm) {
  MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
  check_mpi(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, rank, tag, comm, &request), "MPI_Isend");
  return requests_.size() - 1;
}

std::size_t MpiRequests::receive(void* data, std::size_t bytes, int rank, int tag, MPI_Comm comm) {
  MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
  check_mpi(MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, rank, tag, comm, &request), "MPI_Irecv");
  return requests_.size() - 1;
}

bool MpiRequests::is_done(std::size_t index) {
  if (requests_[index] == MPI_REQUEST_NULL) return true;
  int flag = 0;
  check_mpi(MPI_Test(&requests_[index], &flag, MPI_STATUS_IGNORE), "MPI_Test");
  return flag != 0;
}

bool MpiRequests::are_all_done() {
  int flag = 0;
  check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &flag, MPI_STATUSES_IGNORE),
            "MPI_Testall");
  return flag != 0;
}

}  // namespace gabra::exec
