// SPDX-License-Identifier: MIT
#include "gabra/ga/search.hpp"

#include "families.hpp"
#include "operators.hpp"
#include "pricer.hpp"
#include "seeds.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace gabra::ga {
namespace {

constexpr std::int64_t kIdleGenerations = 8;  // without a better plan before a restart
constexpr std::size_t kTournament = 3;
constexpr double kCrossover = 0.6;
constexpr int kAttempts = 6;  // to make a child that is new and not ruled out
constexpr std::uint64_t kRestartStream = std::uint64_t{1} << 40U;

bool is_better(const Individual& a, const Individual& b) {
  return a.fitness != b.fitness ? a.fitness < b.fitness : a.plan < b.plan;
}

class Search {
 public:
  Search(Evaluator& evaluator, const SearchOptions& options)
      : options_(options),
        costs_(evaluator.problem()),
        space_(evaluator.problem(), options.space),
        estimator_(costs_),
        pricer_(evaluator, options, space_, costs_),
        population_size_(static_cast<std::size_t>(std::max<std::int64_t>(4, options.population))) {}

  [[nodiscard]] SearchResult run() {
    price_families();
    price_heuristics();
    for (restart_ = 0; restart_ < kMostRestarts && !pricer_.is_over(); ++restart_) {
      if (restart_ > 0) repopulate();
      const Individual before = pricer_.best();
      evolve();
      idle_restarts_ = is_better(pricer_.best(), before) ? 0 : idle_restarts_ + 1;
      if (idle_restarts_ > options_.max_idle_restarts) break;
    }
    return pricer_.finish();
  }

 private:
  static constexpr std::int64_t kMostRestarts = 1000;

  void price_families();
  void price_heuristics();
  void repopulate();
  void evolve();
  [[nodiscard]] std::vector<Individual> make_children();
  [[nodiscard]] Plan make_child(Rng& rng) const;
  [[nodiscard]] const Plan& tournament(Rng& rng) const;
  void survive(std::vector<Individual> children);
  void search_locally();
  [[nodiscard]] std::vector<Plan> by_lower_bound(std::vector<Plan> plans);

  const SearchOptions& options_;
  CostModel costs_;
  PlanSpace space_;
  mutable StageEstimator estimator_;  // caches what it computes
  Pricer pricer_;
  std::size_t population_size_;
  std::vector<Individual> population_;            // best first
  std::vector<Individual> seeds_;                 // families and heuristics, best first
  std::map<Plan, std::vector<Plan>> unexplored_;  // of plans searched around: neighbours not priced yet, likeliest last
  std::uint64_t generation_ = 0;
  std::int64_t restart_ = 0;
  std::int64_t idle_restarts_ = 0;
};

std::vector<Plan> Search::by_lower_bound(std::vector<Plan> plans) {
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t i = 0; i < plans.size(); ++i) order.emplace_back(costs_.lower_bound(plans[i]).value(), i);
  std::sort(order.begin(), order.end());
  std::vector<Plan> sorted;
  for (const auto& [bound, index] : order) sorted.push_back(std::move(plans[index]));
  return sorted;
}

std::vector<Individual> to_individuals(std::vector<Plan> plans) {
  std::vector<Individual> result;
  for (Plan& plan : plans) result.push_back({.plan = std::move(plan), .fitness = {}});
  return result;
}

bool has_feasible(const std::vector<Individual>& individuals) {
  return std::any_of(individuals.begin(), individuals.end(), [](const Individual& individual) {
    return individual.fitness.kind == Fitness::Kind::Feasible || individual.fitness.kind == Fitness::Kind::Bounded;
  });
}

/// So that the result is never worse than any of them: the plans that evaluate_baselines() chooses from.
void Search::price_families() {
  for (const Family family : kFamilies) {
    for (const Recompute recompute : {Recompute::Never, Recompute::Always}) {
      std::vector<Individual> plans =
          to_individuals(by_lower_bound(family_plans(family, space_, estimator_, recompute)));
      pricer_.price(plans);
      seeds_.insert(seeds_.end(), plans.begin(), plans.end());
      if (has_feasible(plans)) break;
    }
  }
}

/// A quarter of the budget at most, in steps, so that what the first find rules out others.
void Search::price_heuristics() {
  const std::vector<Plan> plans = by_lower_bound(heuristic_plans(space_, estimator_));
  const std::int64_t most = pricer_.result().evaluations + options_.max_evaluations / 4;
  const std::size_t step = std::max<std::size_t>(8, population_size_ / 4);
  for (std::size_t i = 0; i < plans.size() && pricer_.result().evaluations < most && !pricer_.is_over(); i += step) {
    const auto first = plans.begin() + static_cast<std::ptrdiff_t>(i);
    std::vector<Individual> some =
        to_individuals({first, first + static_cast<std::ptrdiff_t>(std::min(step, plans.size() - i))});
    pricer_.price(some);
    seeds_.insert(seeds_.end(), some.begin(), some.end());
  }
  survive(seeds_);
  std::sort(seeds_.begin(), seeds_.end(), is_better);
  seeds_.resize(std::min(seeds_.size(), 2 * population_size_));
  pricer_.note_generation(0);
}

/// A new start: heuristic plans mutated several times. The best plan joins every other restart.
void Search::repopulate() {
  std::vector<Individual> fresh;
  for (std::size_t i = 0; i < population_size_; ++i) {
    Rng rng = Rng::substream(options_.seed, kRestartStream + static_cast<std::uint64_t>(restart_), i);
    Plan plan = seeds_[static_cast<std::size_t>(rng.below(seeds_.size()))].plan;
    const std::int64_t changes = rng.between(2, 3 + restart_ % 5);
    for (std::int64_t change = 0; change < changes; ++change) plan = mutate(std::move(plan), space_, estimator_, rng);
    fresh.push_back({.plan = space_.canonical(std::move(plan)), .fitness = {}});
  }
  pricer_.price(fresh);
  population_.clear();
  if (restart_ % 2 == 1) fresh.push_back(pricer_.best());
  survive(std::move(fresh));
}

const Plan& Search::tournament(Rng& rng) const {
  std::size_t best = population_.size();
  for (std::size_t i = 0; i < kTournament; ++i) {
    best = std::min(best, static_cast<std::size_t>(rng.below(population_.size())));
  }
  return population_[best].plan;
}

Plan Search::make_child(Rng& rng) const {
  Plan child = tournament(rng);
  bool is_crossed = false;
  if (rng.chance(kCrossover)) {
    const Plan& other = tournament(rng);
    child = rng.chance(0.6) ? cross_cuts(child, other, space_, rng) : cross_assignment(child, other, space_, rng);
    is_crossed = true;
  }
  const std::int64_t changes = rng.between(is_crossed ? 0 : 1, 3);
  for (std::int64_t change = 0; change < changes; ++change) child = mutate(std::move(child), space_, estimator_, rng);
  return space_.canonical(std::move(child));
}

std::vector<Individual> Search::make_children() {
  std::vector<Individual> children;
  std::set<Plan> seen;
  for (std::size_t i = 0; i < population_size_; ++i) {
    Rng rng = Rng::substream(options_.seed, generation_, i);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      Plan child = make_child(rng);
      if (pricer_.is_known(child) || seen.contains(child)) continue;
      if (attempt + 1 < kAttempts && pricer_.is_ruled_out(child)) {
        pricer_.count_bounded(1);
        continue;
      }
      seen.insert(child);
      children.push_back({.plan = std::move(child), .fitness = {}});
      break;
    }
  }
  return children;
}

/// Keeps the best of the population and the children, at most a quarter with one number of stages while others remain.
void Search::survive(std::vector<Individual> children) {
  population_.insert(population_.end(), std::make_move_iterator(children.begin()),
                     std::make_move_iterator(children.end()));
  std::sort(population_.begin(), population_.end(), is_better);
  const auto end = std::unique(population_.begin(), population_.end(),
                               [](const Individual& a, const Individual& b) { return a.plan == b.plan; });
  population_.erase(end, population_.end());
  std::vector<Individual> kept;
  std::vector<Individual> rest;
  std::map<std::size_t, std::size_t> by_stages;
  for (Individual& individual : population_) {
    const bool is_room = by_stages[individual.plan.stages.size()]++ < population_size_ / 4;
    (is_room && kept.size() < population_size_ ? kept : rest).push_back(std::move(individual));
  }
  for (std::size_t i = 0; kept.size() < population_size_ && i < rest.size(); ++i) kept.push_back(std::move(rest[i]));
  std::sort(kept.begin(), kept.end(), is_better);
  population_ = std::move(kept);
}

/// Prices some more neighbours of the best plan of the population that has unknown ones, likeliest first.
void Search::search_locally() {
  for (const Individual& individual : population_) {
    if (individual.fitness.kind == Fitness::Kind::Bounded) return;
    const auto [found, is_new] = unexplored_.try_emplace(individual.plan);
    std::vector<Plan>& left = found->second;
    if (is_new) {
      left = by_lower_bound(neighbours(individual.plan, space_));
      std::reverse(left.begin(), left.end());
    }
    std::vector<Individual> some;
    while (!left.empty() && some.size() < population_size_ / 2) {
      if (!pricer_.is_known(left.back()) && !pricer_.is_ruled_out(left.back())) {
        some.push_back({.plan = std::move(left.back()), .fitness = {}});
      }
      left.pop_back();
    }
    if (some.empty()) continue;
    pricer_.price(some);
    survive(std::move(some));
    return;
  }
}

void Search::evolve() {
  std::int64_t idle = 0;
  while (idle < kIdleGenerations && !pricer_.is_over() && !population_.empty()) {
    const Individual before = population_.front();
    ++generation_;
    search_locally();
    if (!pricer_.is_over()) {
      std::vector<Individual> children = make_children();
      pricer_.price(children);
      survive(std::move(children));
    }
    pricer_.note_generation(restart_);
    idle = is_better(population_.front(), before) ? 0 : idle + 1;
  }
}

}  // namespace

SearchResult run_gabra(Evaluator& evaluator, const SearchOptions& options) { return Search(evaluator, options).run(); }

}  // namespace gabra::ga
