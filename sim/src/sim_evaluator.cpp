// SPDX-License-Identifier: MIT
#include "gabra/sim/sim_evaluator.hpp"

#include <utility>

namespace gabra::sim {

SimEvaluator::SimEvaluator(Problem problem) : compiler_(std::move(problem)), simulator_(*compiler_.problem().cluster) {}

std::vector<Evaluation> SimEvaluator::evaluate(std::span<const Plan> plans) {
  std::vector<Evaluation> evaluations;
  evaluations.reserve(plans.size());
  for (const Plan& plan : plans) evaluations.push_back(evaluate(plan));
  return evaluations;
}

Evaluation SimEvaluator::evaluate(const Plan& plan) {
  const std::variant<Program, Infeasible> compiled = compiler_.compile(plan);
  if (const auto* infeasible = std::get_if<Infeasible>(&compiled)) return *infeasible;
  return simulator_.run(std::get<Program>(compiled)).report;
}

}  // namespace gabra::sim
