// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/infeasible.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/program.hpp"

#include <memory>
#include <variant>

namespace gabra {

/// Plan -> Program, by list scheduling over the whole plan with the layer costs.
///
/// Each device runs, whenever it is free, the ready backward of the lowest micro-batch (of the latest stage where
/// several stages share the device), else the next forward that the schedule's limit admits (of the latest stage).
/// Forwards of a stage's replica go in the order of micro-batches. Limits: `sequential`, one micro-batch in flight per
/// replica of the first stage; `gpipe`, no backward on a device before all its forwards; `1f1b`, a replica of stage s
/// holds at most ceil(sum of R_t over t >= s / R_s) micro-batches. The order cannot deadlock: the lowest unfinished
/// micro-batch is always next in line at every stage.
/// The last backward of a replicated stage is cut into segments of whole units, one per all-reduce bucket.
/// Every result has passed find_violation(). Deterministic. Not safe to call from several threads.
class Compiler {
 public:
  explicit Compiler(Problem problem) : costs_(std::move(problem)) {}

  [[nodiscard]] const Problem& problem() const { return costs_.problem(); }
  [[nodiscard]] CostModel& costs() { return costs_; }

  /// The Program, or why there is none (structure or memory).
  [[nodiscard]] std::variant<Program, Infeasible> compile(const Plan& plan);

 private:
  CostModel costs_;
};

}  // namespace gabra
