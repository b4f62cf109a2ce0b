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

Table figures_table(const PlanComparison& comparison) {
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
  return table;
}

/// Those with the largest share of the error, at most `most`.
Table instructions_table(const ComparedStep& step, const PlanComparison& comparison, std::size_t most) {
  Table table({{"instruction"},
               {"device"},
               {"predicted", Table::Align::Right},
               {"measured", Table::Align::Right},
               {"of the error", Table::Align::Right}});
  for (std::size_t i = 0; i < std::min(most, comparison.instructions.size()); ++i) {
    const InstructionError& error = comparison.instructions[i];
    const Instruction& one = step.program.instructions[error.instruction.index()];
    table.add_row({describe(one), step.problem.cluster->device(one.device).name, to_text(error.predicted),
                   to_text(error.measured), percent(error.share)});
  }
  return table;
}

std::string plan_text(const ComparedStep& step, const PlanComparison& comparison, std::size_t most_instructions) {
  return problem_line(step.problem) +
         fmt::format("{} micro-batch{} by {}, stages {}\n{}; {}\n", step.plan.micro_batches,
                     step.plan.micro_batches == 1 ? "" : "es", to_text(step.plan.schedule), to_text(step.plan.stages),
                     step.measured.steps_text(), noise_text(comparison.noise)) +
         figures_table(comparison).to_text() + "\n" +
         instructions_table(step, comparison, most_instructions).to_text() + "\nCause: " + comparison.cause + "\n" +
         to_lines(step.notes);
}

std::string set_table(const Validation& validation) {
  Table table({{"plan"},
               {"predicted", Table::Align::Right},
               {"measured", Table::Align::Right},
               {"error", Table::Align::Right},
               {"noise", Table::Align::Right},
               {"memory", Table::Align::Right}});
  for (std::size_t i = 0; i < validation.steps.size(); ++i) {
    const PlanComparison& one = validation.comparisons[i];
    table.add_row({validation.steps[i].name, to_text(Seconds(one.step.predicted)), to_text(Seconds(one.step.measured)),
                   signed_percent(one.step.error()), one.noise ? percent(*one.noise) : "unknown",
                   signed_percent(one.worst_memory().error())});
  }
  return table.to_text();
}

std::string left_out_text(const Validation& validation) {
  if (validation.left_out.empty()) return "";
  Table table({{"plan"}, {"why"}});
  for (const LeftOutPlan& plan : validation.left_out) table.add_row({plan.name, plan.reason});
  return "not measured, or not in every round\n" + table.to_text() + "\n";
}

Value or_null(const std::optional<double>& number) { return number ? Value(*number) : Value(); }

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
          {"noise", or_null(comparison.noise)},
          {"stages", to_value(comparison.stages)},
          {"links", to_value(comparison.links)},
          {"exposed_communication_s", to_value(comparison.exposed_communication)},
          {"bubble_fraction", to_value(comparison.bubble)},
          {"peak_memory_bytes", to_value(comparison.memory)},
          {"instructions", std::move(instructions)},
          {"steps_s", std::move(steps)},
          {"disturbed_steps", step.measured.disturbed_steps},
          {"cause", comparison.cause},
          {"notes", step.notes}};
}

}  // namespace

std::string validate_text(const Validation& validation) {
  constexpr std::size_t kOfOne = 10, kOfASet = 3;  // instructions of a plan
  std::string text = validation.is_interrupted ? "interrupted before everything was measured\n\n" : "";
  if (!validation.is_set) {
    if (!validation.steps.empty()) text += plan_text(validation.steps.front(), validation.comparisons.front(), kOfOne);
    return text + left_out_text(validation) + to_lines(validation.notes);
  }
  for (std::size_t i = 0; i < validation.steps.size(); ++i)
    text += validation.steps[i].name + ": " + plan_text(validation.steps[i], validation.comparisons[i], kOfASet) + "\n";
  if (!validation.steps.empty()) text += set_table(validation) + "\n";
  text += left_out_text(validation);
  if (!validation.steps.empty())
    text += to_text(compare_set(validation.steps, validation.comparisons), validation.steps.size());
  return text + to_lines(validation.notes);
}

std::string validate_json(const Validation& validation) {
  const SetComparison set = compare_set(validation.steps, validation.comparisons);
  const bool is_one = !validation.is_set && !validation.steps.empty();
  Value document = is_one ? to_value(validation.steps.front(), validation.comparisons.front()) : Value::object();
  document["schema"] = "gabra/validation/1";
  document["command"] = "validate";
  if (validation.is_set) {
    Value plans = Value::array();
    for (std::size_t i = 0; i < validation.steps.size(); ++i)
      plans.push_back(to_value(validation.steps[i], validation.comparisons[i]));
    document["plans"] = std::move(plans);
    document["noise"] = or_null(set.noise);
  }
  if (!validation.steps.empty()) {
    document["mean_error"] = set.mean_error;
    document["median_error"] = set.median_error;
    document["max_error"] = set.max_error;
    document["max_memory_error"] = set.max_memory_error;
    document["kendall_tau"] = or_null(set.tau);
    document["ordered_pairs"] = set.ordered_pairs;
    document["regret"] = or_null(set.regret);
  }
  Value left_out = Value::array();
  for (const LeftOutPlan& plan : validation.left_out)
    left_out.push_back({{"name", plan.name}, {"path", plan.path}, {"reason", plan.reason}});
  document["left_out"] = std::move(left_out);
  if (!is_one) document["notes"] = Value::array();
  for (const std::string& note : validation.notes) document["notes"].push_back(note);
  document["is_interrupted"] = validation.is_interrupted;
  return to_document_text(document);
}

}  // namespace gabra::cli
