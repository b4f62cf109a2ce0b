// SPDX-License-Identifier: MIT
#include "gabra/ga/baselines.hpp"

#include "families.hpp"
#include "pricer.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gabra::ga {
namespace {

constexpr std::size_t kPlansAtOnce = 8;  // plans priced at once: the best of them rules out others

SearchOptions without_budget(const SearchOptions& options) {
  SearchOptions result = options;
  result.max_evaluations = std::numeric_limits<std::int64_t>::max();
  result.time_limit.reset();
  result.on_generation = nullptr;
  return result;
}

/// Sorted by lower bound, so that most are ruled out by the first.
void price_by_bound(std::vector<Plan> plans, Pricer& pricer) {
  std::vector<std::pair<Seconds, Plan>> bounded;
  for (Plan& plan : plans) {
    const Seconds bound = pricer.lower_bound(plan);
    bounded.emplace_back(bound, std::move(plan));
  }
  std::sort(bounded.begin(), bounded.end());
  for (std::size_t i = 0; i < bounded.size() && !pricer.is_over(); i += kPlansAtOnce) {
    std::vector<Individual> some;
    for (std::size_t j = i; j < std::min(i + kPlansAtOnce, bounded.size()); ++j) {
      some.push_back({.plan = std::move(bounded[j].second), .fitness = {}});
    }
    pricer.price(some);
  }
}

}  // namespace

std::vector<Baseline> evaluate_baselines(Evaluator& evaluator, const SearchOptions& options) {
  const SearchOptions unlimited = without_budget(options);
  CostModel costs(evaluator.problem());
  const PlanSpace space(evaluator.problem(), options.space);
  StageEstimator estimator(costs);
  std::vector<Baseline> result;
  for (const Family family : kFamilies) {
    Pricer pricer(evaluator, unlimited, space, costs);
    for (const Recompute recompute : {Recompute::Never, Recompute::Always}) {
      price_by_bound(family_plans(family, space, estimator, recompute), pricer);
      if (pricer.best().fitness.kind == Fitness::Kind::Feasible) break;
    }
    SearchResult found = pricer.finish();
    result.push_back({.name = std::string(to_text(family)),
                      .plan = std::move(found.best),
                      .report = std::move(found.report),
                      .closest_reason = std::move(found.closest_reason)});
  }
  return result;
}

}  // namespace gabra::ga
