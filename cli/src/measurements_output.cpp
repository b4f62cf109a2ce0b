// SPDX-License-Identifier: MIT
#include "optimize.hpp"
#include "report_json.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace gabra::cli {
namespace {

using json::Value;

constexpr std::size_t kMostRows = 40;

std::string plan_text(const Plan& plan) {
  return fmt::format("{} x {} {}", to_text(plan.stages), plan.micro_batches, to_text(plan.schedule));
}

std::string measured_text(const MeasuredPlan& measured, const Cluster& cluster) {
  if (const auto* report = std::get_if<StepReport>(&measured.evaluation))
    return to_text(report->step) + (measured.is_reused ? " (kept)" : "");
  return infeasible_text(std::get<Infeasible>(measured.evaluation), cluster);
}

/// Plans that were promoted, in order.
std::string promotions_table(const OptimizeOutcome& outcome) {
  Table table({{"plan"},
               {"promoted as"},
               {"simulated", Table::Align::Right},
               {"corrected", Table::Align::Right},
               {"+-", Table::Align::Right},
               {"measured", Table::Align::Right}});
  for (const MeasuredPlan& measured : outcome.hardware->plans) {
    if (!measured.promotion) continue;
    const ga::Promotion& promotion = *measured.promotion;
    table.add_row({plan_text(measured.plan), std::string(to_text(promotion.why)), to_text(promotion.simulated),
                   to_text(promotion.corrected), percent(promotion.deviation),
                   measured_text(measured, *outcome.problem.cluster)});
  }
  return table.to_text();
}

std::int64_t count_again(const OptimizeOutcome& outcome) {
  const std::vector<MeasuredPlan>& plans = outcome.hardware->plans;
  return std::count_if(plans.begin(), plans.end(), [](const MeasuredPlan& measured) {
    return measured.promotion && measured.promotion->why == ga::Promoted::Finalist;
  });
}

std::string finalists_text(const OptimizeOutcome& outcome) {
  if (count_again(outcome) == 0) return "";
  return "finalists: the least of many noisy times flatters, so the best are measured again, in turns; the new times "
         "decide\n";
}

/// Plans that could not be measured to the end.
std::string failures_text(const OptimizeOutcome& outcome) {
  std::string text;
  std::size_t rows = 0;
  for (const MeasuredPlan& measured : outcome.hardware->plans)
    if (std::holds_alternative<Infeasible>(measured.evaluation) && ++rows <= kMostRows)
      text += fmt::format("  {}: {}\n", plan_text(measured.plan), measured_text(measured, *outcome.problem.cluster));
  if (rows > kMostRows) text += fmt::format("  and {} more\n", rows - kMostRows);
  return text.empty() ? "" : "infeasible on the devices\n" + text;
}

Value measured_value(const MeasuredPlan& measured, const Cluster& cluster) {
  Value value{{"stages", to_text(measured.plan.stages)},
              {"micro_batches", measured.plan.micro_batches},
              {"schedule", to_text(measured.plan.schedule)},
              {"bucket_bytes", measured.plan.bucket.value()}};
  if (measured.promotion) {
    value["promoted_as"] = to_text(measured.promotion->why);
    value["simulated_step_s"] = measured.promotion->simulated.value();
    value["corrected_step_s"] = measured.promotion->corrected.value();
    value["corrected_deviation"] = measured.promotion->deviation;
  }
  if (const auto* report = std::get_if<StepReport>(&measured.evaluation)) {
    value["measured_step_s"] = report->step.value();
    value["peak_memory_bytes"] = report->peak_memory.value();
  } else {
    value["measured_step_s"] = nullptr;
    value["infeasible"] = to_value(std::get<Infeasible>(measured.evaluation), cluster);
  }
  value["is_reused"] = measured.is_reused;
  return value;
}

}  // namespace

std::string measurements_text(const OptimizeOutcome& outcome) {
  if (!outcome.hardware) return "";
  const Hardware::Summary& hardware = *outcome.hardware;
  std::string text = fmt::format("\nmeasured on {}\n", describe(hardware.job));
  if (outcome.priced_by == PricedBy::Both)
    text += promotions_table(outcome) + finalists_text(outcome) + "correction: " + hardware.correction + "\n";
  else
    text += failures_text(outcome);
  text += fmt::format("{} measurements{}, {} taken from earlier searches", hardware.measured,
                      count_again(outcome) > 0 ? fmt::format(", {} of them of finalists", count_again(outcome)) : "",
                      hardware.reused);
  if (hardware.given_up > 0) text += fmt::format(", {} given up as clearly worse", hardware.given_up);
  if (hardware.failed > 0) text += fmt::format(", {} infeasible on the devices", hardware.failed);
  if (hardware.job_starts > 1) text += fmt::format("; job replaced: {}", hardware.job_starts - 1);
  text += '\n';
  if (!hardware.store.empty()) text += fmt::format("measurements kept in {}\n", hardware.store);
  if (hardware.unreadable_lines > 0)
    text += fmt::format("Note: {} lines of that file cannot be read\n", hardware.unreadable_lines);
  return text;
}

void add_measurements(Value& document, const OptimizeOutcome& outcome) {
  static constexpr std::array kNames{"sim", "exec", "both"};
  document["evaluator"] = kNames[static_cast<std::size_t>(outcome.priced_by)];
  if (!outcome.hardware) return;
  const Hardware::Summary& hardware = *outcome.hardware;
  document["devices_measured"] = describe(hardware.job);
  document["measured"] = hardware.measured;
  document["measured_again"] = count_again(outcome);
  document["reused"] = hardware.reused;
  document["given_up"] = hardware.given_up;
  document["failed"] = hardware.failed;
  document["job_starts"] = hardware.job_starts;
  document["measurements_file"] = hardware.store.empty() ? Value(nullptr) : Value(hardware.store);
  if (!hardware.correction.empty()) document["correction"] = hardware.correction;
  Value list = Value::array();
  for (const MeasuredPlan& measured : hardware.plans)
    list.push_back(measured_value(measured, *outcome.problem.cluster));
  document["measurements"] = std::move(list);
}

}  // namespace gabra::cli
