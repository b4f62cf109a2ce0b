// SPDX-License-Identifier: MIT
#include "validate_output.hpp"

#include "gabra/json/reader.hpp"
#include "report_json.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra::cli {
namespace {

using json::Value;

const std::vector<Table::Column> kColumns{
    {""}, {"predicted", Table::Align::Right}, {"measured", Table::Align::Right}, {"error", Table::Align::Right}};

std::string signed_percent(double share) { return fmt::format("{:+.1f} %", 100.0 * share); }

void add_seconds(Table& table, const ComparedFigure& figure) {
  table.add_row({figure.name, to_text(Seconds(figure.predicted)), to_text(Seconds(figure.measured)),
                 figure.measured != 0.0 ? signed_percent(figure.error()) : ""});
}

std::string set_line(const SetComparison& set, std::size_t count) {
  return fmt::format(
      "{} plans: step time error {:.1f} % in the mean, {:.1f} % in the median, {:.1f} % at most; noise of the machine "
      "{:.1f} %\nKendall's tau {:.3f} over plans that differ by more than 3 %; regret of the predicted best {:.1f} %; "
      "peak memory within {:.1f} %\n",
      count, 100.0 * set.mean_error, 100.0 * set.median_error, 100.0 * set.max_error, 100.0 * set.noise, set.tau,
      100.0 * set.regret, 100.0 * set.max_memory_error);
}

std::string set_text(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  Table table({{"plan"},
               {"predicted", Table::Align::Right},
               {"measured", Table::Align::Right},
               {"error", Table::Align::Right},
               {"noise", Table::Align::Right},
               {"memory", Table::Align::Right}});
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const PlanComparison& one = comparisons[i];
    double memory = 0.0;
    for (const ComparedFigure& figure : one.memory)
      if (std::abs(figure.error()) > std::abs(memory)) memory = figure.error();
    table.add_row({steps[i].name, to_text(Seconds(one.step.predicted)), to_text(Seconds(one.step.measured)),
                   signed_percent(one.step.error()), percent(one.noise), signed_percent(memory)});
  }
  return table.to_text() + "\n" + set_line(compare_set(steps, comparisons), steps.size());
}

std::string plan_text(const ComparedStep& step, const PlanComparison& comparison) {
  Table table(kColumns);
  add_seconds(table, comparison.step);
  table.add_rule();
  for (const ComparedFigure& figure : comparison.stages) add_seconds(table, figure);
  for (const ComparedFigure& figure : comparison.links) add_seconds(table, figure);
  table.add_rule();
  add_seconds(table, comparison.exposed_communication);
  table.add_row({"bubble", percent(comparison.bubble.predicted), percent(comparison.bubble.measured),
                 fmt::format("{:+.1f} points", 100.0 * (comparison.bubble.predicted - comparison.bubble.measured))});
  for (const ComparedFigure& figure : comparison.memory)
    table.add_row({"peak memory of " + figure.name, to_text(Bytes(std::llround(figure.predicted))),
                   to_text(Bytes(std::llround(figure.measured))), signed_percent(figure.error())});
  Table errors({{"instruction"},
                {"device"},
                {"predicted", Table::Align::Right},
                {"measured", Table::Align::Right},
                {"of the error", Table::Align::Right}});
  for (const InstructionError& error : comparison.instructions) {
    const Instruction& one = step.program.instructions[error.instruction.index()];
    errors.add_row({describe(one), step.problem.cluster->device(one.device).name, to_text(error.predicted),
                    to_text(error.measured), percent(error.share)});
  }
  std::size_t count = 0;
  for (const auto& round : step.measured.rounds) count += round.size();
  return fmt::format("{}{} steps in {} rounds, noise of the machine {:.1f} %\n", problem_line(step.problem), count,
                     step.measured.rounds.size(), 100.0 * comparison.noise) +
         table.to_text() + "\n" + errors.to_text() + "\n" + "Cause: " + comparison.cause + "\n";
}

Value to_value(const ComparedFigure& figure) {
  return {
      {"name", figure.name}, {"predicted", figure.predicted}, {"measured", figure.measured}, {"error", figure.error()}};
}

Value to_value(const std::vector<ComparedFigure>& figures) {
  Value list = Value::array();
  for (const ComparedFigure& figure : figures) list.push_back(to_value(figure));
  return list;
}

Value to_value(const ComparedStep& step, const PlanComparison& comparison) {
  Value instructions = Value::array();
  for (const InstructionError& error : comparison.instructions) {
    const Instruction& one = step.program.instructions[error.instruction.index()];
    instructions.push_back({{"instruction", error.instruction.value()},
                            {"name", describe(one)},
                            {"device", step.problem.cluster->device(one.device).name},
                            {"predicted_s", error.predicted.value()},
                            {"measured_s", error.measured.value()},
                            {"share", error.share}});
  }
  Value steps = Value::array();
  for (const auto& round : step.measured.rounds)
    for (const Seconds seconds : round) steps.push_back(seconds.value());
  return {{"name", step.name},
          {"path", step.measured.path},
          {"samples", step.program.samples},
          {"predicted", comparison.step.predicted},
          {"measured", comparison.step.measured},
          {"error", comparison.step.error()},
          {"noise", comparison.noise},
          {"stages", to_value(comparison.stages)},
          {"links", to_value(comparison.links)},
          {"exposed_communication_s", to_value(comparison.exposed_communication)},
          {"bubble_fraction", to_value(comparison.bubble)},
          {"peak_memory_bytes", to_value(comparison.memory)},
          {"instructions", std::move(instructions)},
          {"steps_s", std::move(steps)},
          {"cause", comparison.cause}};
}

}  // namespace

std::string validate_text(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  return steps.size() == 1 ? plan_text(steps.front(), comparisons.front()) : set_text(steps, comparisons);
}

std::string validate_json(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  const SetComparison set = compare_set(steps, comparisons);
  Value document = steps.size() == 1 ? to_value(steps.front(), comparisons.front()) : Value::object();
  document["schema"] = "gabra/validation/1";
  document["command"] = "validate";
  if (steps.size() > 1) {
    Value plans = Value::array();
    for (std::size_t i = 0; i < steps.size(); ++i) plans.push_back(to_value(steps[i], comparisons[i]));
    document["plans"] = std::move(plans);
    document["noise"] = set.noise;
  }
  document["mean_error"] = set.mean_error;
  document["median_error"] = set.median_error;
  document["max_error"] = set.max_error;
  document["max_memory_error"] = set.max_memory_error;
  document["kendall_tau"] = set.tau;
  document["regret"] = set.regret;
  return to_document_text(document);
}

}  // namespace gabra::cli
