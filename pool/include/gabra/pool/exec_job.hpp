// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/job_lines.hpp"
#include "gabra/pool/line_process.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::pool {

/// A program that greets and answers as `gabra-exec measure` does (gabra/plan/job_lines.hpp), and for how long to wait.
struct ExecJobOptions {
  std::vector<std::string> words;  ///< "mpirun", "-np", "2", "gabra-exec", "measure", ...
  std::vector<std::pair<std::string, std::string>> environment{};
  Seconds start_limit{120.0};  ///< until it greets
  std::size_t ranks = 1;       ///< that the greeting must name
  /// Before every further try to replace a job that ran; the first job of all is tried once.
  std::vector<Seconds> restart_pauses{Seconds(1.0), Seconds(4.0), Seconds(10.0)};
};

/// A job of real devices that is kept, and replaced when it dies or says nothing. Not safe to use from several threads.
class ExecJob {
 public:
  explicit ExecJob(ExecJobOptions options) : options_(std::move(options)) {}
  ~ExecJob();
  ExecJob(const ExecJob&) = delete;
  ExecJob& operator=(const ExecJob&) = delete;

  /// Asked several times a second; true ends a wait.
  using Cancelled = std::function<bool()>;

  /// Starts the job if it does not run; null: cancelled. Throws Error where it cannot be started, dies before it
  /// greets, says nothing in time or something else than a greeting, with what it said; of a job that replaces another,
  /// only after the last of the pauses.
  const JobGreeting* start(const Cancelled& is_cancelled = {});
  /// One plan. A job that dies over it, or is silent for `limit`, is ended: the answer is Infeasible (Failed) with the
  /// reason, and the next call starts another. None: cancelled. Throws as start() does.
  [[nodiscard]] std::optional<MeasureReply> measure(const MeasureRequest& request, Seconds limit,
                                                    const Cancelled& is_cancelled);
  /// Jobs that greeted.
  [[nodiscard]] int starts() const { return starts_; }
  /// Whether there is a job to ask; one that was lost over a plan is none.
  [[nodiscard]] bool is_running() const { return process_ != nullptr && !process_->has_ended(); }

 private:
  /// False: cancelled.
  [[nodiscard]] bool start_once(const Cancelled& is_cancelled);
  /// The next line; none: the job has ended, it is cancelled, or the time is over.
  [[nodiscard]] std::optional<std::string> wait_for_line(Seconds limit, const Cancelled& is_cancelled);
  [[nodiscard]] MeasureReply failed(const MeasureRequest& request, const std::string& silence);
  void end();

  ExecJobOptions options_;
  std::unique_ptr<LineProcess> process_;
  JobGreeting greeting_;
  int starts_ = 0;
};

/// What a job said on stderr as one reason: the first line of a rank, or what mpirun says about one that a signal
/// ended, or the last line; "" of nothing.
[[nodiscard]] std::string reason_of(const std::string& error_text);

}  // namespace gabra::pool
