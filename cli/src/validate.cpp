// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "beside.hpp"
#include "commands.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "output_file.hpp"
#include "ranks.hpp"
#include "text.hpp"
#include "validate_job.hpp"
#include "validate_output.hpp"
#include "validate_rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace gabra::cli {
namespace {

/// Replaces this process, a rank of a job whose first rank asks, by the gabra-exec that answers.
[[noreturn]] void become_measuring_rank(const ValidateJob& job) {
  ::setenv("OMP_NUM_THREADS", std::to_string(job.devices.threads_per_rank).c_str(), 1);
  std::vector<std::string> words = job.measure_arguments();
  words.insert(words.begin(), "gabra-exec");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  become_program_beside("gabra-exec", pointers.data());
}

/// Left out where the plan does not fit.
ValidatedPlan simulate(const ValidateJob::Item& item) {
  ValidatedPlan plan;
  ComparedStep& step = plan.step;
  step.name = item.name;
  step.problem = item.file.problem;
  step.plan = item.file.plan;
  step.measured.path = item.path;
  sim::SimEvaluator evaluator(step.problem);
  auto compiled = evaluator.compiler().compile(step.plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    plan.left_out = infeasible_text(*reason, *step.problem.cluster);
    fmt::print(stderr, "gabra: {} cannot run: {}\n", item.path, plan.left_out);
    return plan;
  }
  step.program = std::move(std::get<Program>(compiled));
  sim::Simulation simulation = evaluator.simulator().run(step.program);
  step.predicted = std::move(simulation.timeline);
  step.predicted_report = std::move(simulation.report);
  step.notes = notes_on(step.problem, step.problem.training.global_batch / step.plan.micro_batches);
  return plan;
}

/// What is noted on every plan is noted once.
void gather_common_notes(Validation& validation) {
  if (validation.steps.size() < 2) return;
  for (const std::string& note : std::vector<std::string>(validation.steps.front().notes)) {
    const auto has_it = [&](const ComparedStep& step) {
      return std::find(step.notes.begin(), step.notes.end(), note) != step.notes.end();
    };
    if (!std::all_of(validation.steps.begin(), validation.steps.end(), has_it)) continue;
    validation.notes.push_back(note);
    for (ComparedStep& step : validation.steps) std::erase(step.notes, note);
  }
}

Validation compare_all(const ValidateJob& job, std::vector<ValidatedPlan> plans, const RoundsEnd& end) {
  Validation validation;
  validation.is_set = job.is_set;
  validation.is_interrupted = end.is_interrupted;
  validation.notes = job.devices.notes;
  for (ValidatedPlan& plan : plans) {
    if (!plan.left_out.empty()) validation.left_out.push_back({plan.step.name, plan.step.measured.path, plan.left_out});
    if (!plan.is_measured()) continue;
    validation.comparisons.push_back(compare(plan.step));
    validation.steps.push_back(std::move(plan.step));
  }
  gather_common_notes(validation);
  return validation;
}

int status_of(const Validation& validation, const RoundsEnd& end) {
  if (!validation.steps.empty()) return kDone;
  if (end.is_interrupted) return 128 + SIGINT;
  return end.has_lost_a_job ? kDeviceFailure : kNoFeasiblePlan;
}

}  // namespace

int run_validate(const FlagSet& flag_set) {
  const ValidateJob job = read_validate_job(flag_set);
  if (job.launcher.empty() && !is_first_rank()) become_measuring_rank(job);
  FaultList faults;
  FlagReader flags(flag_set, faults);
  const OutputFile html(flags, "--html");
  const OutputFile trace(flags, "--trace");
  faults.throw_if_any();
  std::vector<ValidatedPlan> plans;
  for (const ValidateJob::Item& item : job.plans) plans.push_back(simulate(item));
  Progress progress(!job.is_quiet);
  const RoundsEnd end = measure_in_rounds(job, plans, progress);
  const Validation validation = compare_all(job, std::move(plans), end);
  if (html) html.write(to_html(validation));
  if (trace) trace.write(to_perfetto_comparison(validation));
  print_to_stdout(flags.is_on("--json") ? validate_json(validation) : validate_text(validation));
  return status_of(validation, end);
}

}  // namespace gabra::cli
