// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"

#include "gabra/core/check.hpp"
#include "gabra/plan/timeline_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace gabra {
namespace {

constexpr std::size_t kInstructionsShown = 10;
constexpr double kSameOrder = 0.03;  // plans that are closer are not put in order

double mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

double predicted_of(const ComparedStep& step, std::size_t i) {
  const Timeline::Span& span = step.predicted.spans[i];
  return (span.end - span.begin).value();
}

double measured_of(const ComparedStep& step, std::size_t i) {
  return i < step.measured.typical.size() ? step.measured.typical[i].value() : 0.0;
}

/// Sums of predicted and measured time by key.
struct Sums {
  double predicted = 0.0, measured = 0.0;
  std::int64_t count = 0;
  void add(const ComparedStep& step, std::size_t i) {
    predicted += predicted_of(step, i);
    measured += measured_of(step, i);
    ++count;
  }
  [[nodiscard]] ComparedFigure figure(std::string name, double divisor, double count_on_device) const {
    return {std::move(name), predicted / divisor, measured / divisor, count_on_device};
  }
};

std::vector<ComparedFigure> stage_figures(const ComparedStep& step) {
  std::map<std::pair<StageId, Opcode>, Sums> sums;
  for (std::size_t i = 0; i < step.program.instructions.size(); ++i) {
    const Instruction& one = step.program.instructions[i];
    for (const Opcode opcode : {Opcode::Forward, Opcode::Recompute, Opcode::Backward, Opcode::Update})
      if (one.opcode == opcode) sums[{one.stage, opcode}].add(step, i);
  }
  std::vector<ComparedFigure> figures;
  for (const auto& [key, sum] : sums) {
    // Pieces of a backward belong together, so not by the number of instructions.
    const auto replicas = static_cast<double>(step.program.stages[key.first.index()].devices.size());
    const double passes = key.second == Opcode::Update ? replicas : static_cast<double>(step.program.micro_batches);
    const char* names[] = {"load", "forward", "loss", "recompute", "backward"};
    const std::string name = key.second == Opcode::Update ? "update" : names[static_cast<std::size_t>(key.second)];
    figures.push_back(sum.figure(fmt::format("stage {} {}", key.first.value(), name), passes, passes / replicas));
  }
  return figures;
}

std::vector<ComparedFigure> link_figures(const ComparedStep& step) {
  std::map<std::pair<DeviceId, DeviceId>, Sums> messages;
  std::map<StageId, Sums> reductions;
  const Cluster& cluster = *step.problem.cluster;
  for (std::size_t i = 0; i < step.program.instructions.size(); ++i) {
    const Instruction& one = step.program.instructions[i];
    if (one.opcode == Opcode::Send) messages[{one.device, one.peer}].add(step, i);
    if (one.opcode == Opcode::AllReduce) reductions[one.stage].add(step, i);
  }
  std::vector<ComparedFigure> figures;
  for (const auto& [pair, sum] : messages) {
    const auto count = static_cast<double>(sum.count);
    figures.push_back(sum.figure(
        fmt::format("{} -> {}, a message", cluster.device(pair.first).name, cluster.device(pair.second).name), count,
        count));
  }
  for (const auto& [stage, sum] : reductions)
    figures.push_back(sum.figure(fmt::format("stage {}, all-reduces", stage.value()),
                                 static_cast<double>(step.program.stages[stage.index()].devices.size()), 1.0));
  return figures;
}

std::vector<InstructionError> instruction_errors(const ComparedStep& step) {
  std::vector<InstructionError> errors;
  double sum = 0.0;
  for (std::size_t i = 0; i < step.program.instructions.size(); ++i) {
    const double predicted = predicted_of(step, i), measured = measured_of(step, i);
    errors.push_back({InstructionId(i), Seconds(predicted), Seconds(measured), std::abs(predicted - measured)});
    sum += errors.back().share;
  }
  std::stable_sort(errors.begin(), errors.end(),
                   [](const InstructionError& a, const InstructionError& b) { return a.share > b.share; });
  errors.resize(std::min(errors.size(), kInstructionsShown));
  for (InstructionError& error : errors) error.share = sum > 0.0 ? error.share / sum : 0.0;
  return errors;
}

/// What part of the step's error is due to what, in seconds a device, measured - predicted. Compute is taken over the
/// devices of its stage, all else over all devices, so that a slow stage counts for more than the waiting of others
/// that it makes.
std::vector<std::pair<std::string, double>> parts_of_error(const ComparedStep& step, const StepReport& measured) {
  std::map<std::pair<std::string, std::int32_t>, double> compute;
  const auto devices = static_cast<double>(step.program.devices.size());
  const auto name_of = [](Opcode opcode) {
    switch (opcode) {
      case Opcode::Forward:
        return "forwards";
      case Opcode::Backward:
        return "backwards";
      case Opcode::Recompute:
        return "recomputation";
      case Opcode::Loss:
        return "losses";
      default:
        return "updates";
    }
  };
  for (std::size_t i = 0; i < step.program.instructions.size(); ++i) {
    const Instruction& one = step.program.instructions[i];
    if (step.program.streams[one.stream.index()].kind != StreamKind::Compute) continue;
    const auto replicas = static_cast<double>(step.program.stages[one.stage.index()].devices.size());
    compute[{name_of(one.opcode), one.stage.value()}] += (measured_of(step, i) - predicted_of(step, i)) / replicas;
  }
  std::vector<std::pair<std::string, double>> parts;
  for (const auto& [key, seconds] : compute)
    parts.emplace_back(fmt::format("{} of stage {}", key.first, key.second), seconds);
  double exposed = 0.0, bubble = 0.0;
  for (std::size_t d = 0; d < measured.devices.size(); ++d) {
    const DeviceReport& is = measured.devices[d];
    const DeviceReport& expected = step.predicted_report.devices[d];
    exposed += (is.exposed_communication - expected.exposed_communication).value() / devices;
    bubble += (is.bubble - expected.bubble).value() / devices;
  }
  parts.emplace_back("communication that nothing hides", exposed);
  parts.emplace_back("waiting", bubble);
  return parts;
}

std::string cause_of(const ComparedStep& step, const ComparedFigure& figure, const StepReport& measured,
                     const std::optional<double>& noise) {
  const double difference = figure.measured - figure.predicted;
  const std::string head = fmt::format("the measured step is {} ({:.1f} %) {} than the predicted one",
                                       to_text(Seconds(std::abs(difference))), 100.0 * std::abs(figure.error()),
                                       difference >= 0.0 ? "longer" : "shorter");
  if (noise && std::abs(figure.error()) <= *noise)
    return head + fmt::format(", which is within the machine's noise of {:.1f} %", 100.0 * *noise);
  const auto parts = parts_of_error(step, measured);
  // The largest part that pushes the same way.
  const auto largest = std::max_element(parts.begin(), parts.end(), [&](const auto& a, const auto& b) {
    return a.second * difference < b.second * difference;
  });
  if (largest == parts.end() || largest->second * difference <= 0.0)
    return head + ", by what a step costs beside its instructions";
  return head + fmt::format(", mainly because of {}: {} {} a device", largest->first,
                            to_text(Seconds(std::abs(largest->second))), difference >= 0.0 ? "more" : "less");
}

std::vector<ComparedFigure> memory_figures(const ComparedStep& step) {
  std::vector<ComparedFigure> figures;
  const auto base = static_cast<std::size_t>(MemoryCategory::Base);
  for (std::size_t d = 0; d < step.program.devices.size() && d < step.measured.peak_memory.size(); ++d) {
    const std::size_t device = step.program.devices[d].index();
    const Bytes predicted = step.program.peak_memory[device] - step.program.static_memory[device][base];
    figures.push_back({step.problem.cluster->device(step.program.devices[d]).name,
                       static_cast<double>(predicted.value()),
                       static_cast<double>(step.measured.peak_memory[d].value())});
  }
  return figures;
}

}  // namespace

ComparedFigure PlanComparison::worst_memory() const {
  const auto largest = std::max_element(memory.begin(), memory.end(), [](const auto& a, const auto& b) {
    return std::abs(a.error()) < std::abs(b.error());
  });
  return largest == memory.end() ? ComparedFigure{} : *largest;
}

PlanComparison compare(const ComparedStep& step) {
  GABRA_CHECK(step.measured.timeline.spans.size() == step.program.instructions.size(),
              "a measured step is of the same Program as the simulated one");
  const StepReport measured = report_of(*step.problem.cluster, step.program, step.measured.timeline);
  PlanComparison result;
  result.step = {"step", step.predicted_report.step.value(), step.measured.median_step().value()};
  result.stages = stage_figures(step);
  result.links = link_figures(step);
  result.exposed_communication = {"exposed communication", step.predicted_report.exposed_communication.value(),
                                  measured.exposed_communication.value()};
  result.bubble = {"bubble", step.predicted_report.bubble_fraction, measured.bubble_fraction};
  result.memory = memory_figures(step);
  result.noise = step.measured.noise();
  result.instructions = instruction_errors(step);
  result.cause = cause_of(step, result.step, measured, result.noise);
  return result;
}

SetComparison compare_set(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  SetComparison result;
  std::vector<double> errors, noises;
  std::map<std::uint64_t, std::vector<PredictedMeasured>> by_network;  // seconds per sample
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const PlanComparison& one = comparisons[i];
    const auto samples = static_cast<double>(steps[i].program.samples);
    errors.push_back(std::abs(one.step.error()));
    by_network[steps[i].problem.network->fingerprint()].push_back(
        {one.step.predicted / samples, one.step.measured / samples});
    if (one.noise) noises.push_back(*one.noise);
    result.max_memory_error = std::max(result.max_memory_error, std::abs(one.worst_memory().error()));
  }
  if (errors.empty()) return result;
  result.mean_error = mean(errors);
  result.median_error = median(errors);
  result.max_error = *std::max_element(errors.begin(), errors.end());
  OrderCount order;
  for (const auto& [network, pairs] : by_network) {
    order += count_order(pairs, kSameOrder);
    if (pairs.size() > 1) result.regret = std::max(result.regret.value_or(0.0), regret(pairs));
  }
  result.ordered_pairs = std::llround(order.compared);
  if (result.ordered_pairs > 0) result.tau = order.tau();
  if (!noises.empty()) result.noise = mean(noises);
  return result;
}

std::string noise_text(const std::optional<double>& noise) {
  return noise ? fmt::format("noise of the machine {:.1f} %", 100.0 * *noise)
               : "noise of the machine unknown: it takes two rounds";
}

std::string to_text(const SetComparison& set, std::size_t plans) {
  std::string text =
      fmt::format("{} plan{}: step time error {:.1f} % in the mean, {:.1f} % in the median, {:.1f} % at most; {}\n",
                  plans, plans == 1 ? "" : "s", 100.0 * set.mean_error, 100.0 * set.median_error, 100.0 * set.max_error,
                  noise_text(set.noise));
  text += set.tau ? fmt::format("Kendall's tau {:.3f} over {} pair{} of plans that differ by more than 3 %", *set.tau,
                                set.ordered_pairs, set.ordered_pairs == 1 ? "" : "s")
                  : "no two plans of one network differ by more than 3 %: no order to compare";
  if (set.regret) text += fmt::format("; regret of the predicted best {:.1f} %", 100.0 * *set.regret);
  return text + fmt::format("; peak memory within {:.1f} %\n", 100.0 * set.max_memory_error);
}

}  // namespace gabra
