// SPDX-License-Identifier: MIT
#include "gabra/exec/mpi_world.hpp"

#include "gabra/exec/communicator.hpp"
#include "mpi_check.hpp"
#include "mpi_native.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <limits>
#include <numeric>
#include <thread>
#include <utility>

namespace gabra::exec {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  int rank = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  throw DeviceError(fmt::format("rank {}: {} failed: {} (code {})", rank, call,
                                std::string_view(text.data(), static_cast<std::size_t>(length)), code));
}

double monotonic_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

MpiWorld::MpiWorld(int& argc, char**& argv)
    : native_(new Native{MPI_COMM_WORLD}), exceptions_at_start_(std::uncaught_exceptions()) {
  int provided = 0;
  if (MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS)
    throw DeviceError("MPI_Init_thread failed");
  if (provided < MPI_THREAD_SERIALIZED) throw DeviceError("this MPI library allows no calls from a second thread");
  find_ranks();
}

MpiWorld::MpiWorld(std::unique_ptr<Native> native, int local_rank)
    : native_(std::move(native)), exceptions_at_start_(std::uncaught_exceptions()) {
  find_ranks();
  local_rank_ = local_rank;
}

void MpiWorld::find_ranks() {
  MPI_Comm comm = native_->comm;
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
  MPI_Comm machine = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine), "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(machine, &local_rank_), "MPI_Comm_rank");
  int first = rank_;
  check_mpi(MPI_Bcast(&first, 1, MPI_INT, 0, machine), "MPI_Bcast");
  shares_clock_ = first == 0;
  check_mpi(MPI_Comm_free(&machine), "MPI_Comm_free");
}

MpiWorld::~MpiWorld() {
  if (std::uncaught_exceptions() != exceptions_at_start_) return;
  if (native_->comm == MPI_COMM_WORLD)
    MPI_Finalize();
  else
    MPI_Comm_free(&native_->comm);
}

std::unique_ptr<MpiWorld> MpiWorld::subset(bool is_member) const {
  MPI_Comm made = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(native_->comm, is_member ? 0 : MPI_UNDEFINED, rank_, &made), "MPI_Comm_split");
  if (!is_member) return nullptr;
  return std::unique_ptr<MpiWorld>(new MpiWorld(std::make_unique<Native>(Native{made}), local_rank_));
}

void MpiWorld::barrier() const {
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(native_->comm, &request), "MPI_Ibarrier");
  const double begin = monotonic_seconds();
  int is_done = 0;
  while (is_done == 0) {
    check_mpi(MPI_Test(&request, &is_done, MPI_STATUS_IGNORE), "MPI_Test");
    constexpr double kEagerSeconds = 1e-3;
    if (is_done == 0 && monotonic_seconds() - begin > kEagerSeconds)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

std::string MpiWorld::broadcast(std::string_view bytes, int root) const {
  std::int64_t size = static_cast<std::int64_t>(bytes.size());
  check_mpi(MPI_Bcast(&size, 1, MPI_INT64_T, root, native_->comm), "MPI_Bcast");
  std::string result(static_cast<std::size_t>(size), '\0');
  if (rank_ == root) result.assign(bytes);
  // In pieces: MPI counts in int.
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  for (std::size_t at = 0; at < result.size(); at += kPiece)
    check_mpi(MPI_Bcast(result.data() + at, static_cast<int>(std::min(kPiece, result.size() - at)), MPI_BYTE, root,
                        native_->comm),
              "MPI_Bcast");
  return result;
}

std::vector<std::string> MpiWorld::gather(std::string_view bytes, int root) const {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(size_));
  const std::int64_t own = static_cast<std::int64_t>(bytes.size());
  check_mpi(MPI_Gather(&own, 1, MPI_INT64_T, sizes.data(), 1, MPI_INT64_T, root, native_->comm), "MPI_Gather");
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  constexpr int kTag = 1;
  if (rank_ != root) {
    for (std::size_t at = 0; at < bytes.size(); at += kPiece)
      check_mpi(MPI_Send(bytes.data() + at, static_cast<int>(std::min(kPiece, bytes.size() - at)), MPI_BYTE, root, kTag,
                         native_->comm),
                "MPI_Send");
    return {};
  }
  std::vector<std::string> result;
  for (int r = 0; r < size_; ++r) {
    std::string& text = result.emplace_back(static_cast<std::size_t>(sizes[static_cast<std::size_t>(r)]), '\0');
    if (r == root) {
      text.assign(bytes);
      continue;
    }
    for (std::size_t at = 0; at < text.size(); at += kPiece)
      check_mpi(MPI_Recv(text.data() + at, static_cast<int>(std::min(kPiece, text.size() - at)), MPI_BYTE, r, kTag,
                         native_->comm, MPI_STATUS_IGNORE),
                "MPI_Recv");
  }
  return result;
}

double MpiWorld::sum(double value) const {
  std::vector<double> all(static_cast<std::size_t>(size_));
  check_mpi(MPI_Allgather(&value, 1, MPI_DOUBLE, all.data(), 1, MPI_DOUBLE, native_->comm), "MPI_Allgather");
  return std::accumulate(all.begin(), all.end(), 0.0);
}

double MpiWorld::max(double value) const {
  double result = value;
  check_mpi(MPI_Allreduce(&value, &result, 1, MPI_DOUBLE, MPI_MAX, native_->comm), "MPI_Allreduce");
  return result;
}

double MpiWorld::clock_offset(int rounds) const {
  constexpr int kTag = 2;
  double offset = 0.0;
  for (int r = 1; r < size_; ++r) {
    if (rank_ != 0 && rank_ != r) continue;
    double shortest = std::numeric_limits<double>::infinity();
    for (int i = 0; i < rounds; ++i) {
      double theirs = 0.0;
      if (rank_ == 0) {
        check_mpi(MPI_Recv(&theirs, 1, MPI_DOUBLE, r, kTag, native_->comm, MPI_STATUS_IGNORE), "MPI_Recv");
        const double now = monotonic_seconds();
        check_mpi(MPI_Send(&now, 1, MPI_DOUBLE, r, kTag, native_->comm), "MPI_Send");
        continue;
      }
      const double begin = monotonic_seconds();
      check_mpi(MPI_Send(&begin, 1, MPI_DOUBLE, 0, kTag, native_->comm), "MPI_Send");
      check_mpi(MPI_Recv(&theirs, 1, MPI_DOUBLE, 0, kTag, native_->comm, MPI_STATUS_IGNORE), "MPI_Recv");
      const double end = monotonic_seconds();
      if (end - begin >= shortest) continue;
      shortest = end - begin;
      offset = theirs - (begin + end) / 2.0;
    }
  }
  return shares_clock_ ? 0.0 : offset;
}

void MpiWorld::abort(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

}  // namespace gabra::exec
