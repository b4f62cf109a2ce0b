// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/search.hpp"
#include "plan_space.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <vector>

namespace gabra::ga {

/// How good a plan is; less is better. Feasible plans come before those ruled out by their bound, then those over the
/// memory limit, then the rest.
struct Fitness {
  enum class Kind : std::uint8_t { Feasible, Bounded, OverMemory, Failed, NotPriced };
  Kind kind = Kind::NotPriced;
  double value = 0.0;   ///< Feasible: the objective; Bounded: seconds of the bound; OverMemory: bytes of excess
  double second = 0.0;  ///< Feasible: breaks ties (peak memory, or seconds where memory is the objective)

  auto operator<=>(const Fitness&) const = default;
};

struct Individual {
  Plan plan;  ///< canonical
  Fitness fitness;
};

/// Prices plans through the evaluator, each canonical plan once; rules out plans by their lower bound; keeps the best;
/// watches the budget. What it answers depends only on the order of the plans asked.
class Pricer {
 public:
  Pricer(Evaluator& evaluator, const SearchOptions& options, const PlanSpace& space, CostModel& costs);

  /// Prices what is not known yet. The bound compares with the best plan before this call, so that the size of calls to
  /// the evaluator changes nothing. Plans beyond the budget come back NotPriced.
  void price(std::vector<Individual>& individuals);

  [[nodiscard]] bool is_known(const Plan& canonical) const { return known_.contains(canonical); }
  /// Whether the lower bound of the plan is above the best plan's time.
  [[nodiscard]] bool is_ruled_out(const Plan& canonical);
  [[nodiscard]] Seconds lower_bound(const Plan& plan) { return costs_.lower_bound(plan); }
  /// The budget is spent, the time is over, or the search was cancelled.
  [[nodiscard]] bool is_over();
  void note_generation(std::int64_t restart);
  void count_bounded(std::int64_t plans) { result_.bounded += plans; }

  [[nodiscard]] const Individual& best() const { return best_; }
  [[nodiscard]] const SearchResult& result() const { return result_; }
  /// Moves the result out, with the best plan in it.
  [[nodiscard]] SearchResult finish();

 private:
  void evaluate(std::vector<Plan>& plans);
  void record(const Plan& plan, const Evaluation& evaluation);
  [[nodiscard]] Fitness fitness_of(const Evaluation& evaluation) const;

  Evaluator& evaluator_;
  const SearchOptions& options_;
  CostModel& costs_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::map<Plan, Fitness> known_;
  Individual best_;
  SearchResult result_;
  GenerationRecord state_;
  bool is_cancelled_ = false;
};

/// A hash of everything in the plan, the same on every machine.
[[nodiscard]] std::uint64_t hash_of(const Plan& plan);

}  // namespace gabra::ga
