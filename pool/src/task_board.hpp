// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/pool/pool_evaluator.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gabra::pool {

/// How a worker ended while it was at a plan.
enum class Blame : std::uint8_t {
  Outside,  ///< killed or stopped by somebody
  Crash,    ///< crashed, hung or said nonsense
};

/// The plans of one call of evaluate(): which wait, which are answered. Numbers of plans are never used twice, so a
/// late answer to a former call is known as such.
class TaskBoard {
 public:
  /// Puts up plans; all former ones are answered. Those that seem to take longest are given out first, so that workers
  /// end together.
  void begin(std::span<const Plan> plans);

  [[nodiscard]] bool is_done() const { return open_ == 0; }
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }
  /// The next plan to give out; there must be one.
  [[nodiscard]] std::int64_t take();
  [[nodiscard]] const Plan& plan(std::int64_t id) const { return plans_[index(id)]; }
  /// False when it was answered before, or is none of these plans.
  bool answer(std::int64_t id, Evaluation evaluation);
  /// It waits again, behind the others, unless it is answered.
  void put_back(std::int64_t id);
  /// Notes that a worker ended at it; call before put_back(). Returns what is known of the plan when that was one too
  /// many: the plan is answered then.
  [[nodiscard]] std::optional<SetAside> blame(std::int64_t id, Blame kind, const std::string& reason);
  /// The answers, in the order of the plans.
  [[nodiscard]] std::vector<Evaluation> finish();

 private:
  struct Task {
    std::optional<Evaluation> evaluation;
    int ends = 0;    ///< workers that ended at it
    int weight = 0;  ///< of those
  };

  [[nodiscard]] std::size_t index(std::int64_t id) const { return static_cast<std::size_t>(id - first_); }
  [[nodiscard]] bool is_open(std::int64_t id) const;

  std::span<const Plan> plans_;
  std::vector<Task> tasks_;
  std::deque<std::int64_t> queue_;
  std::int64_t first_ = 0;
  std::size_t open_ = 0;
};

}  // namespace gabra::pool
