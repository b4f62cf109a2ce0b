// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/compiler.hpp"
#include "gabra/plan/evaluator.hpp"
#include "gabra/sim/simulator.hpp"

#include <span>
#include <vector>

namespace gabra::sim {

/// Compiles and simulates in this process.
class SimEvaluator : public Evaluator {
 public:
  explicit SimEvaluator(Problem problem);

  [[nodiscard]] const Problem& problem() const override { return compiler_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override;
  /// One plan.
  [[nodiscard]] Evaluation evaluate(const Plan& plan);
  [[nodiscard]] Compiler& compiler() { return compiler_; }
  [[nodiscard]] Simulator& simulator() { return simulator_; }

 private:
  Compiler compiler_;
  Simulator simulator_;
};

}  // namespace gabra::sim
