// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/measured_plan.hpp"
#include "gabra/calibration/statistics.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <string>
#include <vector>

namespace gabra {

/// A step of one Program, simulated and measured.
struct ComparedStep {
  std::string name;  ///< of the plan, for people
  Problem problem;
  Plan plan;
  Program program;
  Timeline predicted;
  StepReport predicted_report;
  MeasuredPlan measured;
};

/// A figure of a step, predicted and measured, in seconds, bytes or a share.
struct ComparedFigure {
  std::string name;  ///< "stage 0 forward"
  double predicted = 0.0;
  double measured = 0.0;
  /// (predicted - measured) / measured; 0 where nothing was measured.
  [[nodiscard]] double error() const { return measured != 0.0 ? predicted / measured - 1.0 : 0.0; }
};

/// An instruction's part in the error of all instructions.
struct InstructionError {
  InstructionId instruction;
  Seconds predicted, measured;
  double share = 0.0;  ///< of the sum of |predicted - measured| over all instructions
};

struct PlanComparison {
  ComparedFigure step;                   ///< seconds
  std::vector<ComparedFigure> stages;    ///< seconds of a forward, of a backward of one micro-batch, by stage
  std::vector<ComparedFigure> links;     ///< seconds of a message by pair of devices; of a stage's all-reduces together
  ComparedFigure exposed_communication;  ///< seconds, mean over the devices
  ComparedFigure bubble;                 ///< share of the step, mean over the devices
  std::vector<ComparedFigure> memory;    ///< bytes of tensors at the peak, by device; the framework's left out
  double noise = 0.0;                    ///< of the measured step: see MeasuredPlan::noise()
  std::vector<InstructionError> instructions;  ///< those with the largest share first, at most 10
  std::string cause;                           ///< one sentence
};
[[nodiscard]] PlanComparison compare(const ComparedStep& step);

/// Over a set of plans.
struct SetComparison {
  double mean_error = 0.0, median_error = 0.0, max_error = 0.0;  ///< of the step time, without sign
  double max_memory_error = 0.0;                                 ///< of the largest device of each plan
  double tau = 1.0;     ///< Kendall's, over pairs of one network whose measured times differ by more than 3 %
  double regret = 0.0;  ///< of taking the plan with the lowest prediction; the largest over the networks
  double noise = 0.0;   ///< mean over the plans
};
/// Plans of different global batches are put in order by time per sample.
[[nodiscard]] SetComparison compare_set(const std::vector<ComparedStep>& steps,
                                        const std::vector<PlanComparison>& comparisons);

/// Predicted and measured step in one trace for ui.perfetto.dev: two processes per device; every span has the
/// instruction's number and both durations.
[[nodiscard]] std::string to_perfetto_comparison(const ComparedStep& step);

/// One HTML page without anything from outside: tables, both steps drawn, predicted against measured for sets.
[[nodiscard]] std::string to_html(const std::vector<ComparedStep>& steps,
                                  const std::vector<PlanComparison>& comparisons);

}  // namespace gabra
