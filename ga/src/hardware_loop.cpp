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
constexpr std::size_t kMostFinalists = 3;
constexpr double kFinalistsWithin = 1.1;   // of the best time
constexpr int kMostRounds = 3;             // of measuring them again
constexpr double kReservedTime = 1.0 / 6;  // of a budget of seconds

/// What of a budget of measurements is kept for finalists.
std::int64_t reserved(std::int64_t measurements) {
  if (measurements >= 24) return 6;
  if (measurements >= 12) return 3;
  return measurements >= 8 ? 2 : 0;
}

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
  [[nodiscard]] const std::map<Plan, Evaluation>& measured() const { return measured_; }

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
    if (!options.measure_again) return;
    if (options.measurements) reserved_ = reserved(*options.measurements);
    if (options.measurement_time) reserved_time_ = kReservedTime * options.measurement_time->value();
  }

  LoopResult run() {
    search();
    measure_baselines();
    for (bool goes_on = true; goes_on && !is_over();) {
      const std::int64_t before = made();
      goes_on = promote(Promoted::Best);
      if (goes_on && !is_over() && !is_last_quarter()) goes_on = promote(Promoted::Informative);
      if (is_over() || (goes_on && made() == before)) continue;  // what is known from before comes in at once
      search();
      goes_on = shortest() != nullptr;
    }
    measure_finalists();
    return finish();
  }

 private:
  [[nodiscard]] bool is_cancelled() const { return options_.search.is_cancelled && options_.search.is_cancelled(); }
  [[nodiscard]] bool is_over() const {
    if (options_.measurements && made() >= *options_.measurements - reserved_) return true;
    if (options_.measurement_time && spent_ >= options_.measurement_time->value() - reserved_time_) return true;
    return is_cancelled();
  }
  [[nodiscard]] std::int64_t made() const {
    return options_.made ? options_.made() : static_cast<std::int64_t>(result_.promotions.size());
  }
  [[nodiscard]] bool is_last_quarter() const {
    if (options_.measurements) return 4 * made() >= 3 * (*options_.measurements - reserved_);
    return 4.0 * spent_ >= 3.0 * (options_.measurement_time->value() - reserved_time_);
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
      if ((baseline.name == "one-device" || baseline.name == "data-parallel") && baseline.plan && !is_over()) {
        if (!corrected_.candidates().at(*baseline.plan).is_measured) measure(*baseline.plan, Promoted::Baseline);
        baseline_plans_.insert_or_assign(baseline.name, *baseline.plan);
      }
  }

  /// The plan that was measured at the start, where what the correction prefers by now was not.
  void take_measured(Baseline& baseline) const {
    const auto& measured = corrected_.measured();
    if (baseline.plan && measured.contains(*baseline.plan)) return;
    const auto at_start = baseline_plans_.find(baseline.name);
    if (at_start == baseline_plans_.end()) return;
    const auto found = measured.find(at_start->second);
    if (found == measured.end() || !std::holds_alternative<StepReport>(found->second)) return;
    baseline.plan = found->first;
    baseline.report = std::get<StepReport>(found->second);
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
    promotion.measured = timed([&] { return measured_.evaluate(std::span(&plan, 1)).front(); });
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
    note(std::move(promotion));
  }

  template <class Measure>
  [[nodiscard]] Evaluation timed(Measure measure) {
    const auto begin = std::chrono::steady_clock::now();
    Evaluation evaluation = measure();
    spent_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return evaluation;
  }

  void note(Promotion promotion) {
    result_.promotions.push_back(std::move(promotion));
    if (options_.on_measured) options_.on_measured(result_.promotions.back());
  }

  struct Finalist {
    Promotion promotion;                ///< the first
    std::vector<StepReport> reports{};  ///< of the times after it
    bool is_feasible = true;

    [[nodiscard]] Seconds mean() const {
      Seconds sum;
      for (const StepReport& report : reports) sum = sum + report.step;
      return sum / static_cast<double>(reports.size());
    }
  };

  [[nodiscard]] std::vector<Finalist> find_finalists() const {
    std::vector<Finalist> finalists;
    for (const Promotion& promotion : result_.promotions)
      if (std::holds_alternative<StepReport>(promotion.measured)) finalists.push_back({promotion});
    const auto step = [](const Finalist& finalist) { return std::get<StepReport>(finalist.promotion.measured).step; };
    std::stable_sort(finalists.begin(), finalists.end(),
                     [&](const Finalist& a, const Finalist& b) { return step(a) < step(b); });
    const std::size_t most = options_.measurements
                                 ? std::min<std::size_t>(kMostFinalists, static_cast<std::size_t>(reserved_))
                                 : kMostFinalists;
    std::size_t count = 0;
    while (count < std::min(most, finalists.size()) && step(finalists[count]) <= step(finalists[0]) * kFinalistsWithin)
      ++count;
    finalists.erase(finalists.begin() + static_cast<std::ptrdiff_t>(count), finalists.end());
    return finalists;
  }

  /// In turns, so that what changes on the machine meanwhile meets all of them alike.
  void measure_finalists() {
    if (!options_.measure_again) return;
    std::vector<Finalist> finalists = find_finalists();
    reserved_ = 0;
    reserved_time_ = 0.0;
    for (int round = 0; round < kMostRounds; ++round)
      for (Finalist& finalist : finalists)
        if (finalist.is_feasible && !is_over()) measure_again(finalist);
    const Finalist* best = nullptr;
    for (const Finalist& finalist : finalists) {
      if (!finalist.is_feasible || finalist.reports.empty()) continue;
      if (best == nullptr || finalist.mean() < best->mean()) best = &finalist;
    }
    if (best == nullptr) return;
    result_.best = best->promotion.plan;
    result_.report = std::get<StepReport>(corrected_.measured().at(*result_.best));
  }

  void measure_again(Finalist& finalist) {
    Promotion promotion = finalist.promotion;
    promotion.why = Promoted::Finalist;
    promotion.measured = timed([&] { return options_.measure_again(promotion.plan); });
    if (const auto* report = std::get_if<StepReport>(&promotion.measured)) {
      finalist.reports.push_back(*report);
      corrected_.set_measured(promotion.plan, scaled(*report, finalist.mean() / report->step));
    } else if (!is_cancelled()) {
      finalist.is_feasible = false;
      corrected_.set_measured(promotion.plan, promotion.measured);
    }
    note(std::move(promotion));
  }

  LoopResult finish() {
    if (result_.best) {
      result_.closest.reset();
      result_.closest_reason.reset();
    }
    result_.baselines = evaluate_baselines(corrected_, search_);
    for (Baseline& baseline : result_.baselines) take_measured(baseline);
    for (const Baseline& baseline : result_.baselines)
      if (baseline.plan && corrected_.measured().contains(*baseline.plan))
        result_.measured_baselines.insert(baseline.name);
    result_.correction = corrected_.correction().to_text();
    return std::move(result_);
  }

  CorrectedEvaluator corrected_;
  Evaluator& measured_;
  const LoopOptions& options_;
  SearchOptions search_;
  std::uint64_t searches_ = 0;
  double spent_ = 0.0;
  std::int64_t reserved_ = 0;  ///< measurements for finalists
  double reserved_time_ = 0.0;
  std::map<std::string, Plan> baseline_plans_;  ///< measured at the start
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
    case Promoted::Finalist:
      return "finalist";
  }
  return "";
}

LoopResult run_hardware_loop(Evaluator& simulated, Evaluator& measured, const LoopOptions& options) {
  return Loop(simulated, measured, options).run();
}

}  // namespace gabra::ga
