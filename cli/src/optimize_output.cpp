// SPDX-License-Identifier: MIT
#include "optimize.hpp"
#include "report_json.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

namespace gabra::cli {
namespace {

using json::Value;

std::string speedup_text(std::optional<Seconds> one_device, Seconds step) {
  return one_device ? fmt::format("{:.2f}", *one_device / step) : "-";
}

std::string efficiency_text(const Problem& problem, std::optional<Seconds> one_device, Seconds step) {
  return one_device ? percent(*one_device / step / static_cast<double>(problem.cluster->device_count())) : "-";
}

/// Columns of a comparison behind the first two.
std::vector<Table::Column> figure_columns(const OptimizeOutcome& outcome) {
  return {{samples_name(*outcome.problem.network) + "/s", Table::Align::Right},
          {"speedup", Table::Align::Right},
          {"efficiency", Table::Align::Right},
          {"bubble", Table::Align::Right},
          {"exposed comm.", Table::Align::Right},
          {"peak memory", Table::Align::Right},
          {"micro-batches", Table::Align::Right},
          {"bucket", Table::Align::Right}};
}

/// Where a time of a search that has simulated and measured ones comes from.
const char* origin(bool is_measured) { return is_measured ? "measured" : "corrected"; }

void add_comparison_row(Table& table, const OptimizeOutcome& outcome, const std::string& name, const Plan& plan,
                        const StepReport& report, const ga::Baseline* baseline) {
  const auto one = outcome.one_device_step();
  const bool is_one_device = baseline != nullptr && baseline == outcome.baseline("one-device");
  std::vector<std::string> row{
      name,
      to_text(report.step),
      fmt::format("{:.4g}", report.samples_per_second),
      speedup_text(one, report.step),
      is_one_device ? "" : efficiency_text(outcome.problem, one, report.step),
      percent(report.bubble_fraction),
      to_text(report.exposed_communication),
      to_text(report.peak_memory),
      fmt::format("{} x {}", plan.micro_batches, outcome.problem.training.global_batch / plan.micro_batches),
      fmt::format("{:.4g} MB", static_cast<double>(plan.bucket.value()) / 1e6)};
  if (outcome.priced_by == PricedBy::Both)
    row.insert(row.begin() + 2, origin(baseline == nullptr || outcome.is_measured(*baseline)));
  table.add_row(std::move(row));
}

std::string comparison_table(const OptimizeOutcome& outcome) {
  std::vector<Table::Column> columns{{"planner"}, {"step", Table::Align::Right}};
  if (outcome.priced_by == PricedBy::Both) columns.push_back({"is"});
  const std::vector<Table::Column> figures = figure_columns(outcome);
  columns.insert(columns.end(), figures.begin(), figures.end());
  Table table(std::move(columns));
  std::string infeasible;
  if (outcome.baseline(outcome.planner) == nullptr)
    add_comparison_row(table, outcome, outcome.planner, *outcome.plan, *outcome.report, nullptr);
  for (const ga::Baseline& baseline : outcome.baselines) {
    if (baseline.plan && baseline.report) {
      add_comparison_row(table, outcome, baseline.name, *baseline.plan, *baseline.report, &baseline);
    } else {
      table.add_row({baseline.name, "-"});
      infeasible += fmt::format(
          "  {}: no feasible plan{}\n", baseline.name,
          baseline.closest_reason ? "; " + infeasible_text(*baseline.closest_reason, *outcome.problem.cluster) : "");
    }
  }
  return table.to_text() + infeasible;
}

/// Micro-batch sizes change the statistics of batch norm, so a plan with another size than serial training's trains
/// differently.
std::string batch_norm_note(const OptimizeOutcome& outcome) {
  const ga::Baseline* one = outcome.baseline("one-device");
  if (one == nullptr || !one->plan || !has_batch_norm(*outcome.problem.network)) return "";
  const std::int64_t batch = outcome.problem.training.global_batch;
  const std::int64_t own = batch / outcome.plan->micro_batches;
  const std::int64_t serial = batch / one->plan->micro_batches;
  if (own == serial) return "";
  return fmt::format(
      "micro-batches of {} samples, serial training's best is {}: batch norm sees other statistics; --micro-batch {} "
      "keeps serial training's",
      own, serial, serial);
}

/// "speedup 1.5 over one device": said where that one's time was not measured.
std::string one_device_text(const OptimizeOutcome& outcome) {
  const ga::Baseline* one = outcome.baseline("one-device");
  const bool is_estimate = outcome.priced_by == PricedBy::Both && one != nullptr && !outcome.is_measured(*one);
  return is_estimate ? "one device (whose time is corrected, not measured)" : "one device";
}

std::string set_aside_text(const pool::SetAside& aside) {
  return fmt::format("plan set aside, {}: stages \"{}\", {} micro-batches, {}", aside.reason,
                     to_text(aside.plan.stages), aside.plan.micro_batches, to_text(aside.plan.schedule));
}

std::vector<std::string> notes(const OptimizeOutcome& outcome) {
  std::vector<std::string> result =
      notes_on(outcome.problem, outcome.problem.training.global_batch / outcome.plan->micro_batches);
  if (const std::string note = batch_norm_note(outcome); !note.empty()) result.push_back(note);
  for (const pool::SetAside& aside : outcome.set_aside) result.push_back(set_aside_text(aside));
  return result;
}

std::string effort_text(const OptimizeOutcome& outcome) {
  std::string text = fmt::format("{} plans evaluated in {}, {} of them for the comparison",
                                 with_commas(outcome.search.evaluations + outcome.baseline_evaluations),
                                 to_text(outcome.elapsed), with_commas(outcome.baseline_evaluations));
  if (outcome.search.bounded > 0)
    text += fmt::format(", {} more ruled out by a lower bound", with_commas(outcome.search.bounded));
  if (outcome.search.cache_hits > 0) text += fmt::format(", {} met again", with_commas(outcome.search.cache_hits));
  if (outcome.space_size) text += fmt::format(", of {} in the whole space", with_commas(*outcome.space_size));
  const char* early = outcome.is_interrupted       ? "; interrupted, this is the best plan so far"
                      : !outcome.breakdown.empty() ? "; ended before its time, this is the best plan so far"
                                                   : "";
  return text + fmt::format("; seed {}{}\n", outcome.options.seed, early);
}

Value baseline_value(const OptimizeOutcome& outcome, const ga::Baseline& baseline) {
  Value value = Value::object();
  if (baseline.plan && baseline.report) {
    add_report_sums(value, *baseline.report);
    add_speedup(value, outcome.problem, baseline.report->step, outcome.one_device_step());
    add_plan(value, outcome.problem, *baseline.plan);
    if (outcome.hardware) value["is_measured"] = outcome.is_measured(baseline);
  } else {
    value["step_time_s"] = nullptr;
    value["infeasible"] =
        baseline.closest_reason ? to_value(*baseline.closest_reason, *outcome.problem.cluster) : Value(nullptr);
  }
  return value;
}

}  // namespace

std::string optimize_text(const OptimizeOutcome& outcome) {
  const StepReport& report = *outcome.report;
  const auto one = outcome.one_device_step();
  std::string text = fmt::format("step {}, {:.4g} {}/s", to_text(report.step), report.samples_per_second,
                                 samples_name(*outcome.problem.network));
  text += one ? fmt::format(", speedup {} over {}, efficiency {} of {} devices\n", speedup_text(one, report.step),
                            one_device_text(outcome), efficiency_text(outcome.problem, one, report.step),
                            outcome.problem.cluster->device_count())
              : ", speedup unknown: no single device can train this network\n";
  text += problem_line(outcome.problem);
  text += fmt::format("\nplan of {}\n", outcome.planner) + plan_table(outcome.problem, *outcome.plan);
  text += "\ncompared with\n" + comparison_table(outcome);
  text += "\nper device\n" + device_table(outcome.problem, report);
  text += measurements_text(outcome);
  text += '\n' + effort_text(outcome) + to_lines(notes(outcome));
  return text;
}

std::string optimize_json(const OptimizeOutcome& outcome) {
  Value document{{"schema", "gabra/report/1"}, {"command", "optimize"}};
  if (outcome.report) {
    add_report_sums(document, *outcome.report);
    add_speedup(document, outcome.problem, outcome.report->step, outcome.one_device_step());
  } else {
    document["step_time_s"] = nullptr;
    document["infeasible"] =
        outcome.closest_reason ? to_value(*outcome.closest_reason, *outcome.problem.cluster) : Value(nullptr);
  }
  document["evaluations"] = outcome.search.evaluations;
  document["baseline_evaluations"] = outcome.baseline_evaluations;
  document["bounded"] = outcome.search.bounded;
  document["cache_hits"] = outcome.search.cache_hits;
  document["generations"] = outcome.search.generations;
  if (outcome.space_size) document["space_size"] = *outcome.space_size;
  document["elapsed_s"] = outcome.elapsed.value();
  document["seed"] = outcome.options.seed;
  if (!outcome.set_aside.empty()) {
    document["set_aside"] = Value::array();
    for (const pool::SetAside& aside : outcome.set_aside) {
      Value value{{"reason", aside.reason}};
      add_plan(value, outcome.problem, aside.plan);
      document["set_aside"].push_back(std::move(value));
    }
  }
  document["planner"] = outcome.planner;
  document["is_interrupted"] = outcome.is_interrupted;
  if (!outcome.breakdown.empty()) document["breakdown"] = outcome.breakdown;
  add_problem(document, outcome.problem);
  if (outcome.plan) {
    add_plan(document, outcome.problem, *outcome.plan);
    add_report(document, outcome.problem, *outcome.report);
    document["notes"] = notes(outcome);
  }
  add_measurements(document, outcome);
  Value baselines = Value::object();
  for (const ga::Baseline& baseline : outcome.baselines) baselines[baseline.name] = baseline_value(outcome, baseline);
  document["baselines"] = std::move(baselines);
  return to_document_text(document);
}

std::string no_plan_text(const OptimizeOutcome& outcome) {
  std::string text = fmt::format("gabra: no feasible plan for {}", problem_line(outcome.problem));
  if (outcome.is_interrupted) text += "gabra: interrupted before one was found\n";
  if (outcome.closest_reason)
    text += fmt::format("gabra: the closest one fails: {}\n",
                        infeasible_text(*outcome.closest_reason, *outcome.problem.cluster));
  if (outcome.closest) text += plan_table(outcome.problem, *outcome.closest);
  return text;
}

}  // namespace gabra::cli
