// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/measured_plan.hpp"
#include "gabra/calibration/statistics.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
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
  std::vector<std::string> notes{};  ///< for people: what to know about the prediction
};

/// A plan about which nothing can be compared, or that was not measured in every round.
struct LeftOutPlan {
  std::string name, path;
  std::string reason;  ///< "batch norm s0b1 has a single value per channel", "in round 2 of 3: rank 1 ..."
};

/// A figure of a step, predicted and measured, in seconds, bytes or a share.
struct ComparedFigure {
  std::string name;  ///< "stage 0 forward"
  double predicted = 0.0;
  double measured = 0.0;
  double count = 1.0;  ///< how often it is in the step of one device
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
  std::optional<double> noise;           ///< of the measured step: see MeasuredPlan::noise()
  std::vector<InstructionError> instructions;  ///< those with the largest share first, at most 10
  std::string cause;                           ///< one sentence

  /// Of the device with the largest error.
  [[nodiscard]] ComparedFigure worst_memory() const;
};
[[nodiscard]] PlanComparison compare(const ComparedStep& step);

/// Over a set of plans.
struct SetComparison {
  double mean_error = 0.0, median_error = 0.0, max_error = 0.0;  ///< of the step time, without sign
  double max_memory_error = 0.0;                                 ///< of the largest device of each plan
  std::int64_t ordered_pairs = 0;  ///< of plans of one network whose measured times differ by more than 3 %
  std::optional<double> tau;       ///< Kendall's, over these; none where there are none
  /// Of taking the plan with the lowest prediction; the largest over the networks with several plans.
  std::optional<double> regret;
  std::optional<double> noise;  ///< mean over the plans whose noise is known
};
/// Plans of different global batches are put in order by time per sample.
[[nodiscard]] SetComparison compare_set(const std::vector<ComparedStep>& steps,
                                        const std::vector<PlanComparison>& comparisons);

/// "3 plans: step time error 2.1 % in the mean, ...": two lines for people, each ending in a newline.
[[nodiscard]] std::string to_text(const SetComparison& set, std::size_t plans);
/// "noise of the machine 1.2 %"; without one, that a single round tells nothing of it.
[[nodiscard]] std::string noise_text(const std::optional<double>& noise);

/// Everything that one `gabra validate` found.
struct Validation {
  bool is_set = false;  ///< asked for as a set, however many plans it has
  std::vector<ComparedStep> steps;
  std::vector<PlanComparison> comparisons;  ///< of `steps`
  std::vector<LeftOutPlan> left_out;
  std::vector<std::string> notes;  ///< for people: on all plans
  bool is_interrupted = false;     ///< by Ctrl-C, before everything was measured
};

/// Predicted and measured steps in one trace for ui.perfetto.dev: for every plan two processes per device with the same
/// tracks; every span has its twin of the same name and number of the instruction, and both durations.
[[nodiscard]] std::string to_perfetto_comparison(const Validation& validation);

/// One HTML page without anything from outside: tables, both steps drawn, predicted against measured for sets.
[[nodiscard]] std::string to_html(const Validation& validation);

}  // namespace gabra
