// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"
#include "gabra/plan/report.hpp"

#include <span>
#include <vector>

namespace gabra {

/// Prices plans of one problem: a simulator in this process, worker processes, or real devices.
class Evaluator {
 public:
  Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  virtual ~Evaluator() = default;

  [[nodiscard]] virtual const Problem& problem() const = 0;
  /// One evaluation per plan, in the same order. The same plan always gives the same report.
  [[nodiscard]] virtual std::vector<Evaluation> evaluate(std::span<const Plan> plans) = 0;
};

}  // namespace gabra
