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

/// Which plans a search may propose.
struct SearchSpace {
  std::optional<std::int64_t> micro_batch;   ///< samples per micro-batch, fixed
  std::int64_t min_micro_batch = 1;
  std::vector<Bytes> buckets;                ///< candidates; empty: a default list
};

struct SearchOptions {
  std::uint64_t seed = 1;
  Objective objective = Objective::Time;
  SearchSpace space;
  std::int64_t population = 64;
  std::int64_t max_evaluations = 20000;       ///< of the evaluator; plans ruled out by a bound do not count
  std::optional<Seconds> time_limit;          ///< wall clock; makes the result depend on the machine
  /// Asked between generations; true ends the search with the best plan so far (Ctrl-C).
  std::function<bool()> is_cancelled;
  /// Called after each generation, for progress.
  std::function<void(std::int64_t generation, std::int64_t evaluations, Seconds best)> on_generation;
};

struct SearchResult {
  std::optional<Plan> best;           ///< none: no feasible plan was found
  std::optional<StepReport> report;   ///< of best
  std::optional<Plan> closest;        ///< when there is no best: the plan least over its memory limit
  std::optional<Infeasible> closest_reason;
  std::int64_t evaluations = 0;       ///< plans the evaluator priced
  std::int64_t bounded = 0;           ///< plans ruled out by their lower bound
  std::int64_t cache_hits = 0;
  std::int64_t generations = 0;
};

/// GABRA: a genetic algorithm over cut points, devices of each stage, micro-batch count, schedule, recomputation.
[[nodiscard]] SearchResult run_gabra(Evaluator& evaluator, const SearchOptions& options);

}  // namespace gabra::ga
