// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/baselines.hpp"
#include "gabra/ga/search.hpp"
#include "gabra/json/reader.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/pool/pool_evaluator.hpp"
#include "hardware.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gabra::cli {

/// What `gabra optimize` found out; output is made from this alone.
struct OptimizeOutcome {
  Problem problem;
  std::string planner;
  ga::SearchOptions options;
  std::vector<ga::Baseline> baselines;
  std::optional<Plan> plan;                  ///< none: nothing feasible was found
  std::optional<StepReport> report;          ///< of plan
  std::optional<Infeasible> closest_reason;  ///< when there is no plan
  std::optional<Plan> closest;
  ga::SearchResult search;                 ///< counters
  std::int64_t baseline_evaluations = 0;   ///< plans simulated for the baselines
  std::optional<std::int64_t> space_size;  ///< of the exact planner
  std::vector<pool::SetAside> set_aside;   ///< plans that ended several workers
  bool is_interrupted = false;
  std::string breakdown;  ///< what ended the search before its time, but Ctrl-C; empty: nothing
  Seconds elapsed;
  PricedBy priced_by = PricedBy::Sim;
  std::optional<Hardware::Summary> hardware;  ///< with --evaluator exec and both
  std::set<std::string> measured_baselines;   ///< with --evaluator both: all others' times are corrected ones

  [[nodiscard]] const ga::Baseline* baseline(std::string_view name) const;
  /// Whether its time is from the devices themselves.
  [[nodiscard]] bool is_measured(const ga::Baseline& baseline) const;
  /// The best single device; none where the network does not fit one.
  [[nodiscard]] std::optional<Seconds> one_device_step() const;
};

[[nodiscard]] std::string optimize_text(const OptimizeOutcome& outcome);
[[nodiscard]] std::string optimize_json(const OptimizeOutcome& outcome);
/// What was measured, for optimize_text() and optimize_json().
[[nodiscard]] std::string measurements_text(const OptimizeOutcome& outcome);
void add_measurements(json::Value& document, const OptimizeOutcome& outcome);
/// Why there is no plan, for stderr.
[[nodiscard]] std::string no_plan_text(const OptimizeOutcome& outcome);

}  // namespace gabra::cli
