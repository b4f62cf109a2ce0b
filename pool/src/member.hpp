// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/pool/line_process.hpp"
#include "gabra/pool/messages.hpp"
#include "task_board.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::pool {

/// Why a member's process is of no use any more.
struct MemberEnd {
  std::string reason;
  Blame blame = Blame::Crash;
  bool was_ready = false;
  std::vector<std::int64_t> plans;  ///< that it had, the one that it was at first
};

/// One child of a pool: its process, the plans that it has, and how long it has been silent. Started again after each
/// end.
class Member {
 public:
  Member(std::string name, const PoolOptions& options) : name_(std::move(name)), options_(options) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool is_ready() const { return is_ready_; }
  [[nodiscard]] std::size_t in_flight() const { return plans_.size(); }
  [[nodiscard]] std::int64_t slots() const { return slots_; }
  void set_slots(std::int64_t slots) { slots_ = slots; }
  /// Null before start() and between an end and the next start.
  [[nodiscard]] LineProcess* process() const { return process_.get(); }

  /// Starts the process, unless the last start failed a moment ago. Throws Error where it cannot be started at all;
  /// returns that as an end where it could be before.
  [[nodiscard]] std::optional<MemberEnd> start(const std::string& header_line);
  void note_ready(std::int64_t slots);
  /// Written by flush().
  void give(std::int64_t id, const Plan& plan);
  void flush();
  /// It has answered this plan, or given it back.
  void forget(std::int64_t id);
  /// Something came from it.
  void note_sign_of_life();
  /// Adds to the time without a sign of life. Returns a reason to end it: it is over a limit, or stands still.
  [[nodiscard]] std::optional<MemberEnd> wait(std::chrono::duration<double> time);
  /// If the process has ended.
  [[nodiscard]] std::optional<MemberEnd> find_end();
  /// Ends the process for what it said.
  [[nodiscard]] MemberEnd end(std::string reason, Blame blame);
  /// Whether so many starts in a row came to nothing that there will be none.
  [[nodiscard]] bool is_hopeless() const;
  /// The last line of its standard error, if any: ": LINE".
  [[nodiscard]] const std::string& last_words() const { return last_words_; }

 private:
  std::string name_;
  const PoolOptions& options_;
  std::unique_ptr<LineProcess> process_;
  std::deque<std::int64_t> plans_;
  std::int64_t slots_ = 1;
  bool is_ready_ = false;
  bool was_ready_ = false;  ///< ever
  double silent_s_ = 0.0;
  double longest_silence_s_ = 0.0;
  int crashed_starts_ = 0;  ///< ends in a row before it was ready
  int killed_starts_ = 0;   ///< those from outside
  std::chrono::steady_clock::time_point next_start_{};
  std::string last_words_;

  void note_failed_start(Blame blame);
};

}  // namespace gabra::pool
