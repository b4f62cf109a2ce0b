// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/evaluator.hpp"
#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gabra::ga {

enum class Objective : std::uint8_t { Time, Energy, Memory };

/// Which plans a search may propose: every plan without structural faults whose micro-batch count, bucket size and
/// sharing of devices are admitted here, with any schedule and any recomputation per stage. enumerate_optimum() covers
/// exactly the same space.
struct SearchSpace {
  std::optional<std::int64_t> micro_batch = std::nullopt;  ///< samples per micro-batch, fixed
  std::int64_t min_micro_batch = 1;
  std::vector<Bytes> buckets{};            ///< candidates; empty: 10, 25, 50, 100 MB and 1 GB
  std::int64_t max_stages_per_device = 4;  ///< more than 1 admits interleaved pipelines and shared devices
};

struct SearchOptions {
  std::uint64_t seed = 1;
  Objective objective = Objective::Time;
  SearchSpace space;
  std::int64_t population = 48;
  std::int64_t max_evaluations = 4000;  ///< of the evaluator; plans ruled out by a bound do not count
  std::int64_t max_idle_restarts = 5;   ///< ends after so many restarts in a row without a better plan
  std::int64_t plans_per_call = 0;      ///< of the evaluator at most; 0: a generation at once. Never changes the result
  /// Whether plans are ruled out by CostModel::lower_bound(): not where the evaluator may be faster than the cost
  /// model.
  bool uses_bounds = true;
  std::optional<Seconds> time_limit;  ///< wall clock; makes the result depend on the machine
  /// Asked between calls of the evaluator; true ends the search with the best plan so far (Ctrl-C).
  std::function<bool()> is_cancelled;
  /// Called after each generation, for progress.
  std::function<void(std::int64_t generation, std::int64_t evaluations, Seconds best)> on_generation;
};

/// What one generation did; two searches with equal logs decided the same.
struct GenerationRecord {
  std::int64_t generation = 0;
  std::int64_t restart = 0;
  std::int64_t evaluations = 0;  ///< so far
  std::int64_t bounded = 0;      ///< so far
  std::uint64_t proposed = 0;    ///< hash of every plan proposed so far, in order
  std::uint64_t priced = 0;      ///< hash of every fitness so far, in order
  double best = 0.0;             ///< objective of the best feasible plan so far; 0: none yet

  bool operator==(const GenerationRecord&) const = default;
};

struct SearchResult {
  std::optional<Plan> best;          ///< none: no feasible plan was found
  std::optional<StepReport> report;  ///< of best
  std::optional<Plan> closest;       ///< when there is no best: the plan least over its memory limit
  std::optional<Infeasible> closest_reason;
  std::int64_t evaluations = 0;  ///< plans the evaluator priced
  std::int64_t bounded = 0;      ///< plans ruled out by their lower bound
  std::int64_t cache_hits = 0;
  std::int64_t generations = 0;
  std::vector<GenerationRecord> log;
};

/// GABRA: a genetic algorithm over cut points, devices of each stage, micro-batch count, schedule, recomputation and
/// bucket size.
///
///   population <- the candidates of every baseline family, heuristic plans in the order of their lower bounds
///   repeat
///     children <- crossover of two tournament winners, or a copy of one; one to three mutations; repair
///     price the children that are new and whose lower bound is not above the best; population <- best of both,
///       with at most a quarter of it from one number of stages
///     local search: price the neighbours of the best plan that was not searched around yet, likeliest first
///     after some generations without a better plan: restart from mutated heuristic plans, the best plan kept aside
///   until the evaluations are spent, or several restarts in a row found nothing better
///
/// Plans over the memory limit rank behind all feasible ones, by their excess. Plans are priced in canonical form, so
/// that relabelling interchangeable devices costs no evaluation. Throws InputError when the space admits no micro-batch
/// size of the problem's global batch.
[[nodiscard]] SearchResult run_gabra(Evaluator& evaluator, const SearchOptions& options);

}  // namespace gabra::ga
