// SPDX-License-Identifier: MIT
#include "report_json.hpp"
#include "simulate.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra::cli {
namespace {

using json::Value;

constexpr std::size_t kMostLinks = 10;

std::string link_table(const Problem& problem, const StepReport& report) {
  std::vector<LinkReport> links = report.links;
  if (links.empty()) return "";
  std::stable_sort(links.begin(), links.end(),
                   [](const LinkReport& a, const LinkReport& b) { return a.busy > b.busy; });
  const std::size_t all = links.size();
  links.resize(std::min(all, kMostLinks));
  Table table(
      {{"link"}, {"moved", Table::Align::Right}, {"busy", Table::Align::Right}, {"of the step", Table::Align::Right}});
  for (const LinkReport& link : links)
    table.add_row({problem.cluster->link(link.link).name, to_text(Bytes(static_cast<std::int64_t>(link.bytes))),
                   to_text(link.busy), percent(link.busy / report.step)});
  return fmt::format("\nbusiest links, {} of {}\n", links.size(), all) + table.to_text();
}

std::vector<std::string> notes(const SimulateRequest& request) {
  std::vector<std::string> result =
      notes_on(request.problem, request.problem.training.global_batch / request.plan.micro_batches);
  if (request.missing_profile)
    result.push_back(fmt::format(
        "the plan was found with the profile {:016x}, which is not given: times come from the devices' model",
        *request.missing_profile));
  return result;
}

}  // namespace

std::string simulate_text(const SimulateOutcome& outcome) {
  const Problem& problem = outcome.request.problem;
  const StepReport& report = outcome.report;
  std::string text = fmt::format("step {}, {:.4g} {}/s", to_text(report.step), report.samples_per_second,
                                 samples_name(*problem.network));
  if (outcome.one_device)
    text +=
        fmt::format(", speedup {:.2f} over one device, efficiency {} of {} devices", *outcome.one_device / report.step,
                    percent(*outcome.one_device / report.step / static_cast<double>(problem.cluster->device_count())),
                    problem.cluster->device_count());
  text +=
      fmt::format("\nbubble {}, exposed communication {}, peak memory {}, energy {}\n", percent(report.bubble_fraction),
                  to_text(report.exposed_communication), to_text(report.peak_memory), to_text(report.energy));
  text += problem_line(problem) + plan_table(problem, outcome.request.plan);
  text += "\nper device\n" + device_table(problem, report) + link_table(problem, report);
  return text + to_lines(notes(outcome.request));
}

std::string simulate_json(const SimulateOutcome& outcome) {
  const Problem& problem = outcome.request.problem;
  Value document{{"schema", "gabra/report/1"}, {"command", "simulate"}};
  add_report_sums(document, outcome.report);
  add_speedup(document, problem, outcome.report.step, outcome.one_device);
  if (outcome.request.seed) document["seed"] = *outcome.request.seed;
  add_problem(document, problem);
  add_plan(document, problem, outcome.request.plan);
  add_report(document, problem, outcome.report);
  document["notes"] = notes(outcome.request);
  return to_document_text(document);
}

std::string infeasible_json(const SimulateRequest& request, const Infeasible& reason) {
  Value document{{"schema", "gabra/report/1"}, {"command", "simulate"}, {"step_time_s", nullptr}};
  document["infeasible"] = to_value(reason, *request.problem.cluster);
  add_problem(document, request.problem);
  add_plan(document, request.problem, request.plan);
  return to_document_text(document);
}

}  // namespace gabra::cli
