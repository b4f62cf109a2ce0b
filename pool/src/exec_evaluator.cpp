// SPDX-License-Identifier: MIT
#include "gabra/pool/exec_evaluator.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gabra::pool {
namespace {

Infeasible failure(std::string message) {
  Infeasible infeasible;
  infeasible.reason = Infeasible::Reason::Failed;
  infeasible.message = std::move(message);
  return infeasible;
}

}  // namespace

ExecEvaluator::ExecEvaluator(Problem problem, ExecEvaluatorOptions options)
    : compiler_(std::move(problem)), options_(std::move(options)), job_(options_.job) {}

std::vector<Evaluation> ExecEvaluator::evaluate(std::span<const Plan> plans) {
  std::vector<Evaluation> evaluations;
  for (const Plan& plan : plans) evaluations.push_back(evaluate_one(plan));
  return evaluations;
}

Evaluation ExecEvaluator::evaluate_one(const Plan& plan) {
  if (const auto found = known_.find(plan); found != known_.end()) return found->second;
  if (options_.is_cancelled && options_.is_cancelled()) return failure("not measured: the search was ended");
  auto compiled = compiler_.compile(plan);
  Evaluation evaluation;
  if (auto* reason = std::get_if<Infeasible>(&compiled))
    evaluation = std::move(*reason);
  else
    evaluation = measure(plan);
  known_.emplace(plan, evaluation);
  return evaluation;
}

/// Long enough for a plan that is ten times as slow as the best, whose steps are cut short when they are worse.
Seconds ExecEvaluator::time_for_a_plan() const {
  const auto steps = static_cast<double>(options_.warm_up + options_.steps);
  const Seconds step = best_ ? std::min(options_.step_limit, *best_ * 10.0) : options_.step_limit;
  return options_.step_limit + step * steps;
}

Evaluation ExecEvaluator::measure(const Plan& plan) {
  const JobGreeting& greeting = job_.start();
  if (options_.store != nullptr && options_.reuses)
    if (const MeasuredSteps* found = options_.store->find(problem(), plan, greeting);
        found != nullptr && (found->end == MeasuredSteps::End::Complete || !best_ || is_worse(found->report.step)))
      return take(plan, *found, true);
  MeasureRequest request;
  request.id = next_id_++;
  request.warm_up = options_.warm_up;
  request.steps = options_.steps;
  if (best_) request.give_up_above = *best_ * options_.worse_factor;
  request.step_limit = options_.step_limit;
  request.plan.problem = problem();
  request.plan.plan = plan;
  const auto reply = job_.measure(request, time_for_a_plan(), options_.is_cancelled);
  if (!reply) return failure("not measured: the search was ended");
  if (const auto* refused = std::get_if<Refused>(&reply->result)) throw InputError(refused->faults);
  if (const auto* measured = std::get_if<MeasuredSteps>(&reply->result)) {
    if (options_.store != nullptr && measured->end != MeasuredSteps::End::OverLimit)
      options_.store->add(problem(), plan, greeting, *measured, options_.now ? options_.now() : 0);
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
