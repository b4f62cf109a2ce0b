// SPDX-License-Identifier: MIT
#include "gabra/pool/exec_evaluator.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gabra::pool {
namespace {

constexpr std::int64_t kStepsToGiveUp = 2;  // a job gives a plan up after so many
constexpr double kSlowestStep = 10.0;       // of the best plan's, of a plan that is not given up
constexpr const char* kEnded = "not measured: the search was ended";

Infeasible failure(std::string message) {
  Infeasible infeasible;
  infeasible.reason = Infeasible::Reason::Failed;
  infeasible.message = std::move(message);
  return infeasible;
}

}  // namespace

Seconds patience(const ExecEvaluatorOptions& options, std::optional<Seconds> best) {
  const auto slow_steps = static_cast<double>(options.warm_up + std::min(options.steps, kStepsToGiveUp));
  const auto more_steps = static_cast<double>(std::max<std::int64_t>(0, options.steps - kStepsToGiveUp));
  const Seconds step = best ? std::min(options.step_limit, *best * kSlowestStep) : options.step_limit;
  return options.building_time + options.step_limit * (slow_steps + 1.0) + step * more_steps;
}

ExecEvaluator::ExecEvaluator(Problem problem, ExecEvaluatorOptions options)
    : compiler_(std::move(problem)), options_(std::move(options)), job_(options_.job) {}

std::vector<Evaluation> ExecEvaluator::evaluate(std::span<const Plan> plans) {
  std::vector<Evaluation> evaluations;
  for (const Plan& plan : plans) evaluations.push_back(evaluate_one(plan));
  return evaluations;
}

Evaluation ExecEvaluator::evaluate_one(const Plan& plan) {
  if (const auto found = known_.find(plan); found != known_.end()) return found->second;
  if (options_.is_cancelled && options_.is_cancelled()) return failure(kEnded);
  auto compiled = compiler_.compile(plan);
  Evaluation evaluation;
  if (auto* reason = std::get_if<Infeasible>(&compiled))
    evaluation = std::move(*reason);
  else
    evaluation = measure(plan, false);
  known_.emplace(plan, evaluation);
  return evaluation;
}

Evaluation ExecEvaluator::measure_again(const Plan& plan) { return measure(plan, true); }

/// The last that was measured as thoroughly as it would be now; or that was given up, and would be now.
const MeasuredSteps* ExecEvaluator::find_kept(const Plan& plan, const JobGreeting& greeting) const {
  if (options_.store == nullptr || !options_.reuses) return nullptr;
  const MeasuredSteps* result = nullptr;
  for (const KeptMeasurement& kept : options_.store->find(problem(), plan, greeting)) {
    if (kept.warm_up < options_.warm_up) continue;
    const MeasuredSteps& measured = kept.measured;
    const bool is_whole = static_cast<std::int64_t>(measured.steps.size()) >= options_.steps;
    const bool is_worse =
        measured.end == MeasuredSteps::End::GaveUp && best_ &&
        *std::min_element(measured.steps.begin(), measured.steps.end()) > *best_ * options_.worse_factor;
    if (is_whole || is_worse) result = &measured;
  }
  return result;
}

Evaluation ExecEvaluator::measure(const Plan& plan, bool is_repeated) {
  const JobGreeting* greeting = job_.start(options_.is_cancelled);
  if (greeting == nullptr) return failure(kEnded);
  const MeasuredSteps* kept = is_repeated ? nullptr : find_kept(plan, *greeting);
  if (kept != nullptr) return take(plan, *kept, true);
  MeasureRequest request;
  request.id = next_id_++;
  request.warm_up = options_.warm_up;
  request.steps = options_.steps;
  if (best_ && !is_repeated) request.give_up_above = *best_ * options_.worse_factor;
  request.step_limit = options_.step_limit;
  request.plan.problem = problem();
  request.plan.plan = plan;
  const auto reply = job_.measure(request, patience(options_, best_), options_.is_cancelled);
  if (!reply) return failure(kEnded);
  if (const auto* refused = std::get_if<Refused>(&reply->result)) throw InputError(refused->faults);
  if (const auto* measured = std::get_if<MeasuredSteps>(&reply->result)) {
    if (options_.store != nullptr && measured->end != MeasuredSteps::End::OverLimit)
      options_.store->add(problem(), plan, *greeting, {*measured, options_.warm_up}, options_.now ? options_.now() : 0);
    return take(plan, *measured, false);
  }
  ++failed_;
  Evaluation evaluation = std::get<Infeasible>(reply->result);
  if (options_.on_measured) options_.on_measured(plan, evaluation, false);
  return evaluation;
}

Evaluation ExecEvaluator::take(const Plan& plan, const MeasuredSteps& measured, bool is_reused) {
  ++(is_reused ? reused_ : measured_);
  Evaluation evaluation = measured.report;
  if (measured.end == MeasuredSteps::End::OverLimit) {
    ++failed_;
    evaluation = failure(fmt::format("a step took {}, over the limit of {}", to_text(measured.steps.back()),
                                     to_text(options_.step_limit)));
  } else if (measured.end == MeasuredSteps::End::GaveUp) {
    ++given_up_;
  } else if (!best_ || measured.report.step < *best_) {
    best_ = measured.report.step;
  }
  if (options_.on_measured) options_.on_measured(plan, evaluation, is_reused);
  return evaluation;
}

}  // namespace gabra::pool
