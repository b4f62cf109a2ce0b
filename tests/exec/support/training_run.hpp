// SPDX-License-Identifier: MIT
#pragma once

#include "../../cli/command.hpp"

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gabra::test {

/// `gabra ...` in the background, as a test looks at it from outside.
class TrainingRun {
 public:
  TrainingRun(const std::vector<std::string>& arguments, const std::string& folder);
  /// Another program, found in PATH, that starts the ranks.
  TrainingRun(const std::string& program, const std::vector<std::string>& arguments, const std::string& folder);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;
  /// Kills what is left.
  ~TrainingRun();

  [[nodiscard]] pid_t id() const { return id_; }
  /// Process ids of its gabra-exec ranks, by rank; fewer than there will be while they start.
  [[nodiscard]] std::vector<pid_t> ranks() const;
  /// It and everything that it started: mpirun, the ranks, and what those started.
  [[nodiscard]] std::vector<pid_t> processes() const;
  /// Tries until `condition` holds, at most `seconds`.
  [[nodiscard]] bool wait_until(const std::function<bool()>& condition, double seconds = 30.0) const;
  /// Waits for the end; none: it still runs after `seconds`.
  [[nodiscard]] std::optional<Outcome> wait(double seconds = 30.0);
  /// What it has printed so far.
  [[nodiscard]] std::string err() const;

 private:
  TemporaryFolder streams_;
  pid_t id_ = -1;
  std::optional<int> status_;
};

/// Whether a process exists (a zombie does not count).
[[nodiscard]] bool is_alive(pid_t process);

/// Stops a process at once where it is (SIGSTOP), and returns when it stands still. False: it has ended.
[[nodiscard]] bool stop_process(pid_t process);

/// Whether a rank's main() has begun: it keeps SIGTERM for its monitor. Before that, its libraries are loaded.
[[nodiscard]] bool has_begun(pid_t process);

/// Whether a process has the file open.
[[nodiscard]] bool has_open(pid_t process, const std::string& path);

/// Whole lines in a file; 0 where there is none.
[[nodiscard]] std::size_t line_count(const std::string& path);

}  // namespace gabra::test
