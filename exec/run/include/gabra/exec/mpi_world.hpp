// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::exec {

/// All ranks of this run, or some of them. Starts MPI (MPI_THREAD_SERIALIZED) and ends it: one object in main(), alive
/// as long as anything of this room. Every call but rank(), size(), local_rank() and abort() is collective over all
/// ranks of the object. MPI errors become DeviceError. Call from one thread at a time, and not while a Device has work.
class MpiWorld {
 public:
  /// Throws DeviceError where MPI cannot be started.
  MpiWorld(int& argc, char**& argv);
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;
  /// Ends MPI; during an exception it does not (the others would be waited for): call abort().
  ~MpiWorld();

  /// The ranks with `is_member`, in the same order and numbered from 0; null for the others. This world must outlive
  /// it.
  [[nodiscard]] std::unique_ptr<MpiWorld> subset(bool is_member) const;

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] int local_rank() const { return local_rank_; }  ///< among all ranks of this machine

  void barrier() const;  ///< leaves the core to others while it waits
  /// `bytes` of `root`, on every rank.
  [[nodiscard]] std::string broadcast(std::string_view bytes, int root = 0) const;
  /// Every rank's `bytes` by rank, at `root`; empty elsewhere.
  [[nodiscard]] std::vector<std::string> gather(std::string_view bytes, int root = 0) const;
  [[nodiscard]] double sum(double value) const;  ///< in the order of ranks, the same bits everywhere
  [[nodiscard]] double max(double value) const;
  /// Seconds to add to this rank's CLOCK_MONOTONIC to get rank 0's: of `rounds` ping-pongs with it, the shortest; 0 on
  /// rank 0's own machine, where the clock is the same.
  [[nodiscard]] double clock_offset(int rounds = 32) const;

  /// Ends all ranks of the run with `status`.
  [[noreturn]] static void abort(int status);

  /// MPI's handle; the sources of this room know what it is.
  struct Native;
  [[nodiscard]] const Native& native() const { return *native_; }

 private:
  MpiWorld(std::unique_ptr<Native> native, int local_rank);
  void find_ranks();

  std::unique_ptr<Native> native_;
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int exceptions_at_start_ = 0;
  bool shares_clock_ = true;  // with rank 0
};

/// CLOCK_MONOTONIC in seconds: the clock of every span.
[[nodiscard]] double monotonic_seconds();

}  // namespace gabra::exec
