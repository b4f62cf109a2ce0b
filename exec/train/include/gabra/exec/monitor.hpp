// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/wait_note.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace gabra::exec {

/// Exit status of a rank that stops because of a fault of hardware, of another rank, or a signal.
inline constexpr int kStoppedStatus = 3;

/// Keeps SIGTERM and SIGINT for the Monitor: call in main() before any other thread starts (they inherit it).
void block_stop_signals();
/// The default again, for a process without a Monitor.
void unblock_stop_signals();

/// A thread beside one rank that says, when the rank is stopped from outside, what it was waiting for; and that ends
/// the run when the rank waits in a collective for longer than the time limit (transfers of a step have a limit of
/// their own). It is started before MPI, for from block_stop_signals() on nobody else answers these signals.
///
/// mpirun stops all ranks when one dies: each gets SIGTERM, and SIGKILL a second later. A rank that still computes then
/// soon waits for the dead one, so the monitor gives it a moment before it prints and ends the process.
class Monitor {
 public:
  /// `name`: "rank 1 (GPU1)".
  Monitor(std::string name, double time_limit_s);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;
  ~Monitor();

  /// The rank's name, once MPI has told it.
  void set_name(std::string name);
  /// What a device waits for; must live until watch(nullptr), which returns when nobody reads it any more, or the end.
  void watch(const WaitNote* note);
  void set_step(std::int64_t step) { step_ = step; }

  /// watch() for as long as this lives, whatever ends it.
  class Watching {
   public:
    Watching(Monitor& monitor, const WaitNote& note) : monitor_(monitor) { monitor_.watch(&note); }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;
    ~Watching() { monitor_.watch(nullptr); }

   private:
    Monitor& monitor_;
  };

  /// Unlimited: for work of another rank that may take any time (a data set that is preprocessed).
  enum class Limit : std::uint8_t { Timed, Unlimited };

  /// While one exists, the rank waits for other ranks, for `what`. Around communication alone: the rank's own work may
  /// take longer than the time limit. Not nested; from one thread.
  class Waiting {
   public:
    Waiting(Monitor& monitor, std::string_view what, Limit limit = Limit::Timed);
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting();

   private:
    Monitor& monitor_;
  };

 private:
  void run();
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string waits_for() const;
  [[noreturn]] void stop(int signal) const;

  double time_limit_s_;
  WaitNote own_note_;
  std::atomic<double> waiting_since_{0.0};  // 0: not in a collective
  mutable std::mutex mutex_;                // of the next two
  std::string name_;
  const WaitNote* device_note_ = nullptr;
  std::atomic<std::int64_t> step_{0};
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace gabra::exec
