// SPDX-License-Identifier: MIT
#include "pricer.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <tuple>
#include <utility>

namespace gabra::ga {
namespace {

// A bound and a simulated time are sums of the same terms in different orders.
constexpr double kRounding = 1.0 + 1e-9;

std::uint64_t join(std::uint64_t hash, std::uint64_t value) { return mix_bits(hash ^ mix_bits(value)); }

/// Stages that recompute, then stages: what a person would rather do without when it gains nothing.
std::pair<std::int64_t, std::size_t> complexity(const Plan& plan) {
  const auto recomputing = std::count_if(plan.stages.begin(), plan.stages.end(),
                                         [](const Stage& stage) { return stage.recompute != Recompute::Never; });
  return {recomputing, plan.stages.size()};
}

/// The better one; of equally good plans the simpler one.
bool is_preferred(const Individual& a, const Individual& b) {
  const auto rank = [](const Individual& individual) {
    return std::tuple(individual.fitness.kind, individual.fitness.value, complexity(individual.plan),
                      individual.fitness.second);
  };
  return rank(a) < rank(b);
}

}  // namespace

std::uint64_t hash_of(const Plan& plan) {
  std::uint64_t hash = join(static_cast<std::uint64_t>(plan.micro_batches), static_cast<std::uint64_t>(plan.schedule));
  hash = join(hash, static_cast<std::uint64_t>(plan.bucket.value()));
  for (const Stage& stage : plan.stages) {
    hash = join(hash, static_cast<std::uint64_t>(stage.end_unit));
    hash = join(hash, static_cast<std::uint64_t>(stage.recompute));
    hash = join(hash, stage.devices.size());
    for (const DeviceId device : stage.devices) hash = join(hash, device.index());
  }
  return hash;
}

Pricer::Pricer(Evaluator& evaluator, const SearchOptions& options, const PlanSpace& space, CostModel& costs)
    : evaluator_(evaluator), options_(options), costs_(costs) {
  GABRA_CHECK(space.units() > 0, "a network without units");
}

bool Pricer::is_over() {
  if (is_cancelled_ || result_.evaluations >= options_.max_evaluations) return true;
  if (options_.is_cancelled && options_.is_cancelled()) is_cancelled_ = true;
  if (options_.time_limit) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
    if (passed.count() >= options_.time_limit->value()) is_cancelled_ = true;
  }
  return is_cancelled_;
}

bool Pricer::is_ruled_out(const Plan& canonical) {
  if (!options_.uses_bounds || options_.objective != Objective::Time || best_.fitness.kind != Fitness::Kind::Feasible)
    return false;
  return costs_.lower_bound(canonical).value() > best_.fitness.value * kRounding;
}

void Pricer::price(std::vector<Individual>& individuals) {
  std::vector<Plan> unknown;
  for (const Individual& individual : individuals) {
    state_.proposed = join(state_.proposed, hash_of(individual.plan));
    const auto [found, is_new] = known_.try_emplace(individual.plan);
    if (!is_new) {
      ++result_.cache_hits;
    } else if (is_ruled_out(individual.plan)) {
      ++result_.bounded;
      found->second = {.kind = Fitness::Kind::Bounded, .value = costs_.lower_bound(individual.plan).value()};
    } else {
      unknown.push_back(individual.plan);
    }
  }
  evaluate(unknown);
  for (Individual& individual : individuals) {
    const auto found = known_.find(individual.plan);
    if (found != known_.end()) individual.fitness = found->second;
    state_.priced = join(state_.priced, std::bit_cast<std::uint64_t>(individual.fitness.value));
  }
}

void Pricer::evaluate(std::vector<Plan>& plans) {
  const auto budget = static_cast<std::size_t>(options_.max_evaluations - result_.evaluations);
  const std::size_t allowed = std::min(plans.size(), budget);
  const std::size_t step = options_.plans_per_call > 0 ? static_cast<std::size_t>(options_.plans_per_call) : allowed;
  std::size_t done = 0;
  while (done < allowed && !is_over()) {
    const std::span<const Plan> batch = std::span(plans).subspan(done, std::min(step, allowed - done));
    const std::vector<Evaluation> evaluations = evaluator_.evaluate(batch);
    GABRA_CHECK(evaluations.size() == batch.size(), "an evaluator answers every plan");
    for (std::size_t i = 0; i < batch.size(); ++i) record(batch[i], evaluations[i]);
    done += batch.size();
  }
  for (std::size_t i = done; i < plans.size(); ++i) known_.erase(plans[i]);
}

Fitness Pricer::fitness_of(const Evaluation& evaluation) const {
  if (const auto* infeasible = std::get_if<Infeasible>(&evaluation)) {
    if (infeasible->reason != Infeasible::Reason::Memory) return {.kind = Fitness::Kind::Failed};
    return {.kind = Fitness::Kind::OverMemory, .value = static_cast<double>(infeasible->excess().value())};
  }
  const auto& report = std::get<StepReport>(evaluation);
  const auto memory = static_cast<double>(report.peak_memory.value());
  switch (options_.objective) {
    case Objective::Time:
      return {.kind = Fitness::Kind::Feasible, .value = report.step.value(), .second = memory};
    case Objective::Energy:
      return {.kind = Fitness::Kind::Feasible, .value = report.energy.value(), .second = memory};
    case Objective::Memory:
      return {.kind = Fitness::Kind::Feasible, .value = memory, .second = report.step.value()};
  }
  return {};
}

void Pricer::record(const Plan& plan, const Evaluation& evaluation) {
  ++result_.evaluations;
  const Fitness fitness = fitness_of(evaluation);
  known_[plan] = fitness;
  if (!is_preferred({.plan = plan, .fitness = fitness}, best_)) return;
  best_ = {.plan = plan, .fitness = fitness};
  if (fitness.kind == Fitness::Kind::Feasible) {
    result_.report = std::get<StepReport>(evaluation);
    state_.best = fitness.value;
  } else {
    result_.closest_reason = std::get<Infeasible>(evaluation);
  }
}

void Pricer::note_generation(std::int64_t restart) {
  ++result_.generations;
  state_.generation = result_.generations;
  state_.restart = restart;
  state_.evaluations = result_.evaluations;
  state_.bounded = result_.bounded;
  result_.log.push_back(state_);
  if (options_.on_generation) {
    const bool is_feasible = best_.fitness.kind == Fitness::Kind::Feasible;
    options_.on_generation(state_.generation, state_.evaluations, is_feasible ? result_.report->step : Seconds(0.0));
  }
}

SearchResult Pricer::finish() {
  if (best_.fitness.kind == Fitness::Kind::Feasible) {
    result_.best = best_.plan;
    result_.closest_reason.reset();
  } else if (result_.closest_reason) {
    result_.closest = best_.plan;
  }
  return std::move(result_);
}

}  // namespace gabra::ga
