// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/baselines.hpp"
#include "gabra/ga/correction.hpp"
#include "gabra/ga/search.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gabra::ga {

/// Why a plan was measured.
enum class Promoted : std::uint8_t {
  Baseline,     ///< the simulator's best of a family that the result is compared with
  Best,         ///< the shortest corrected time
  Informative,  ///< may be the best, and is known least: the largest deviation
  Finalist,     ///< among the best measured ones: measured again
};
[[nodiscard]] std::string_view to_text(Promoted why);

struct Promotion {
  Plan plan;
  Promoted why = Promoted::Best;
  Seconds simulated;
  Seconds corrected;       ///< as predicted before it was measured
  double deviation = 0.0;  ///< of the logarithm of that
  Evaluation measured;
};

struct LoopOptions {
  SearchOptions search;                      ///< Objective::Time
  std::optional<std::int64_t> measurements;  ///< at most; at least one of the two limits
  std::optional<Seconds> measurement_time;   ///< wall clock spent in `measured`; makes the result depend on the machine
  /// Measurements that were made so far, where `measured` knows some plans from before: those are free. None: all
  /// count.
  std::function<std::int64_t()> made;
  /// A plan that was measured, once more and anew. None: nothing is measured twice.
  std::function<Evaluation(const Plan& plan)> measure_again;
  /// After every measurement.
  std::function<void(const Promotion& promotion)> on_measured;
};

struct LoopResult {
  std::optional<Plan> best;          ///< of the measured ones; none: nothing feasible was measured
  std::optional<StepReport> report;  ///< measured; of a finalist the mean of the times that it was measured again
  std::optional<Infeasible> closest_reason;
  std::optional<Plan> closest;
  std::vector<Promotion> promotions;         ///< in order
  SearchResult search;                       ///< counters of all searches in simulation
  std::vector<Baseline> baselines;           ///< measured where they were, else corrected
  std::set<std::string> measured_baselines;  ///< their names
  std::string correction;                    ///< Correction::to_text() at the end
};

/// Searches in simulation, measures what it promotes, corrects the simulator by that, and goes on.
///
///   measure the simulator's best one-device and data-parallel plans (of a budget of six or more)
///   repeat until the budget is spent or every candidate was measured
///     search with simulated times x correction; every plan that it priced is a candidate
///     in turn: measure the candidate with the shortest corrected time; measure, of those whose corrected time less two
///       deviations is below the best measured one, the candidate with the largest deviation (the last quarter of the
///       budget goes to the shortest times alone)
///     correct again with what was measured
///   measure the two or three best again, in turns, with the part of the budget that was kept for that (of eight or
///     more, and of seconds): the least of many noisy times flatters, so the new ones alone decide and are returned
///
/// Lower bounds of the cost model rule nothing out here: what is corrected may be faster. A plan that cannot be
/// measured is no candidate any more and corrects nothing. Deterministic but for what `measured` answers.
[[nodiscard]] LoopResult run_hardware_loop(Evaluator& simulated, Evaluator& measured, const LoopOptions& options);

}  // namespace gabra::ga
