// SPDX-License-Identifier: MIT
#include "gabra/ga/hardware_loop.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

namespace gabra::ga {
namespace {

constexpr std::int64_t kLeastForBaselines = 6;
constexpr std::int64_t kSearchesOfABudget = 4;  // searches after the first have this part of its evaluations
constexpr std::uint64_t kSeedStep = 1000003;
constexpr double kDeviations = 2.0;

StepReport scaled(StepReport report, double factor) {
  report.step = report.step * factor;
  report.samples_per_second /= factor;
  report.exposed_communication = report.exposed_communication * factor;
  for (DeviceReport& device : report.devices) {
    device.compute = device.compute * factor;
    device.exposed_communication = device.exposed_communication * factor;
    device.bubble = device.bubble * factor;
  }
  return report;
}

/// Simulated times x correction; measured ones where there are. Remembers every feasible plan.
class CorrectedEvaluator : public Evaluator {
 public:
  struct Candidate {
    StepReport simulated;
    std::vector<double> features;
    bool is_measured = false;
  };

  explicit CorrectedEvaluator(Evaluator& inner) : inner_(inner), costs_(inner.problem()) {}

  [[nodiscard]] const Problem& problem() const override { return inner_.problem(); }

  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    simulate(plans);
    std::vector<Evaluation> answers;
    for (const Plan& plan : plans) answers.push_back(answer(plan));
    return answers;
  }

  [[nodiscard]] std::map<Plan, Candidate>& candidates() { return candidates_; }
  [[nodiscard]] Correction& correction() { return correction_; }
  /// The same as evaluate() says from now on.
  void set_measured(const Plan& plan, Evaluation evaluation) {
    measured_.insert_or_assign(plan, std::move(evaluation));
  }

  [[nodiscard]] Correction::Estimate estimate(const Candidate& candidate) const {
    return correction_.estimate(candidate.features);
  }

 private:
  void simulate(std::span<const Plan> plans) {
    std::vector<Plan> unknown;
    for (const Plan& plan : plans)
      if (!candidates_.contains(plan) && !infeasible_.contains(plan)) unknown.push_back(plan);
    const std::vector<Evaluation> simulated = inner_.evaluate(unknown);
    for (std::size_t i = 0; i < unknown.size(); ++i) {
      if (const auto* report = std::get_if<StepReport>(&simulated[i]))
        candidates_.insert_or_assign(unknown[i], Candidate{*report, features_of(costs_, unknown[i], *report)});
      else
        infeasible_.insert_or_assign(unknown[i], std::get<Infeasible>(simulated[i]));
    }
  }

  [[nodiscard]] Evaluation answer(const Plan& plan) const {
    if (const auto found = measured_.find(plan); found != measured_.end()) return found->second;
    if (const auto found = infeasible_.find(plan); found != infeasible_.end()) return found->second;
    const Candidate& candidate = candidates_.at(plan);
    return scaled(candidate.simulated, std::exp(estimate(candidate).mean));
  }

  Evaluator& inner_;
  CostModel costs_;
  Correction correction_;
  std::map<Plan, Candidate> candidates_;
  std::map<Plan, Infeasible> infeasible_;
  std::map<Plan, Evaluation> measured_;
};

class Loop {
 public:
  Loop(Evaluator& simulated, Evaluator& measured, const LoopOptions& options)
      : corrected_(simulated), measured_(measured), options_(options), search_(options.search) {
    search_.uses_bounds = false;
    GABRA_CHECK(options.search.objective == Objective::Time, "times are measured");
    GABRA_CHECK(options.measurements || options.measurement_time, "a budget of measurements");
  }

  LoopResult run() {
    search();
    measure_baselines();
    for (bool goes_on = true; goes_on && !is_over();) {
      goes_on = promote(Promoted::Best);
      if (goes_on && !is_over() && !is_last_quarter()) goes_on = promote(Promoted::Informative);
      if (!is_over()) search();
    }
    return finish();
  }

 private:
  [[nodiscard]] bool is_cancelled() const { return options_.search.is_cancelled && options_.search.is_cancelled(); }
  [[nodiscard]] bool is_over() const {
    if (options_.measurements && count() >= *options_.measurements) return true;
    if (options_.measurement_time && spent_ >= options_.measurement_time->value()) return true;
    return is_cancelled();
  }
  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(result_.promotions.size()); }
  [[nodiscard]] bool is_last_quarter() const {
    if (options_.measurements) return 4 * count() >= 3 * *options_.measurements;
    return 4.0 * spent_ >= 3.0 * options_.measurement_time->value();
  }

  void search() {
    SearchOptions options = search_;
    options.seed += kSeedStep * searches_;
    if (searches_++ > 0)
      options.max_evaluations = std::max<std::int64_t>(1, options.max_evaluations / kSearchesOfABudget);
    SearchResult found = run_gabra(corrected_, options);
    result_.search.evaluations += found.evaluations;
    result_.search.cache_hits += found.cache_hits;
    result_.search.generations += found.generations;
    result_.search.log.insert(result_.search.log.end(), found.log.begin(), found.log.end());
    if (!found.best) {
      result_.closest = found.closest;
      result_.closest_reason = found.closest_reason;
    }
  }

  void measure_baselines() {
    if (options_.measurements && *options_.measurements < kLeastForBaselines) return;
    for (const Baseline& baseline : evaluate_baselines(corrected_, search_))
      if ((baseline.name == "one-device" || baseline.name == "data-parallel") && baseline.plan && !is_over())
        if (!corrected_.candidates().at(*baseline.plan).is_measured) measure(*baseline.plan, Promoted::Baseline);
  }

  /// Measures one more; false when there is nothing left.
  bool promote(Promoted why) {
    const Plan* chosen = why == Promoted::Best ? shortest() : least_known();
    if (chosen == nullptr) chosen = shortest();
    if (chosen == nullptr) return false;
    measure(Plan(*chosen), why);
    return true;
  }

  [[nodiscard]] const Plan* shortest() {
    const Plan* best = nullptr;
    double best_time = 0.0;
    for (const auto& [plan, candidate] : corrected_.candidates()) {
      if (candidate.is_measured) continue;
      const double time = candidate.simulated.step.value() * std::exp(corrected_.estimate(candidate).mean);
      if (best != nullptr && time >= best_time) continue;
      best = &plan;
      best_time = time;
    }
    return best;
  }

  [[nodiscard]] const Plan* least_known() {
    if (!result_.report) return nullptr;
    const double limit = std::log(result_.report->step.value());
    const Plan* best = nullptr;
    double largest = 0.0;
    for (const auto& [plan, candidate] : corrected_.candidates()) {
      if (candidate.is_measured) continue;
      const Correction::Estimate estimate = corrected_.estimate(candidate);
      const double likely = std::log(candidate.simulated.step.value()) + estimate.mean;
      if (likely - kDeviations * estimate.deviation >= limit || estimate.deviation <= largest) continue;
      best = &plan;
      largest = estimate.deviation;
    }
    return best;
  }

  void measure(const Plan& plan, Promoted why) {
    CorrectedEvaluator::Candidate& candidate = corrected_.candidates().at(plan);
    candidate.is_measured = true;
    const Correction::Estimate estimate = corrected_.estimate(candidate);
    Promotion promotion{.plan = plan,
                        .why = why,
                        .simulated = candidate.simulated.step,
                        .corrected = candidate.simulated.step * std::exp(estimate.mean),
                        .deviation = estimate.deviation,
                        .measured = {}};
    const auto begin = std::chrono::steady_clock::now();
    promotion.measured = measured_.evaluate(std::span(&plan, 1)).front();
    spent_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    corrected_.set_measured(plan, promotion.measured);
    if (const auto* report = std::get_if<StepReport>(&promotion.measured)) {
      corrected_.correction().add(candidate.features, std::log(report->step / candidate.simulated.step));
      if (!result_.report || report->step < result_.report->step) {
        result_.best = plan;
        result_.report = *report;
      }
    } else {
      result_.closest_reason = std::get<Infeasible>(promotion.measured);
      result_.closest = plan;
    }
    result_.promotions.push_back(promotion);
    if (options_.on_measured) options_.on_measured(promotion);
  }

  LoopResult finish() {
    if (result_.best) {
      result_.closest.reset();
      result_.closest_reason.reset();
    }
    result_.baselines = evaluate_baselines(corrected_, search_);
    result_.correction = corrected_.correction().to_text();
    return std::move(result_);
  }

  CorrectedEvaluator corrected_;
  Evaluator& measured_;
  const LoopOptions& options_;
  SearchOptions search_;
  std::uint64_t searches_ = 0;
  double spent_ = 0.0;
  LoopResult result_;
};

}  // namespace

std::string_view to_text(Promoted why) {
  switch (why) {
    case Promoted::Baseline:
      return "baseline";
    case Promoted::Best:
      return "best";
    case Promoted::Informative:
      return "informative";
  }
  return "";
}

LoopResult run_hardware_loop(Evaluator& simulated, Evaluator& measured, const LoopOptions& options) {
  return Loop(simulated, measured, options).run();
}

}  // namespace gabra::ga
