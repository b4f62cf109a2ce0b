// SPDX-License-Identifier: MIT
#include "launch.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "calibrate_job.hpp"
#include "child.hpp"
#include "gabra/plan/compiler.hpp"
#include "mpirun.hpp"
#include "mpirun_messages.hpp"
#include "text.hpp"
#include "train_job.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

namespace gabra::cli {
namespace {

std::size_t device_count(const Plan& plan) {
  std::set<DeviceId> devices;
  for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
  return devices.size();
}

/// For people: how a failed training can go on.
void print_failure(const exec::TrainJob& job, const ChildEnd& end, const std::string& ended_rank) {
  if (!ended_rank.empty())
    fmt::print(stderr, "gabra: the training stopped: {}\n", ended_rank);
  else if (end.status > 128)
    fmt::print(stderr, "gabra: the training stopped: a rank was ended by signal {} ({})\n", end.status - 128,
               strsignal(end.status - 128));
  else
    fmt::print(stderr, "gabra: the training stopped\n");
  if (!job.checkpoints.folder.empty())
    fmt::print(stderr, "gabra: --resume goes on from the newest checkpoint in {}\n", job.checkpoints.folder);
}

int run_with_restarts(const exec::TrainJob& job, std::vector<std::string> words, std::int64_t restarts) {
  bool resumes = job.checkpoints.resumes;
  while (true) {
    MpirunMessages messages;
    const ChildEnd end = run_child(words, [&](std::string_view piece) { print_to_stderr(messages.pass(piece)); });
    print_to_stderr(messages.rest());
    if (end.interrupted_by != 0) return 128 + end.interrupted_by;
    if (end.status == kDone || end.status == kBadInput) return end.status;
    print_failure(job, end, messages.ended_rank());
    if (restarts == 0) return kDeviceFailure;
    fmt::print(stderr, "gabra: starting again from the newest checkpoint, {} more {} after this\n", restarts - 1,
               restarts == 2 ? "time" : "times");
    --restarts;
    if (!resumes) words.emplace_back("--resume");
    resumes = true;
  }
}

}  // namespace

int run_train_launcher(const FlagSet& flag_set, char** arguments) {
  const exec::TrainJob job = read_train_job(flag_set);
  FaultList faults;
  FlagReader flags(flag_set, faults);
  if (is_rank_of_job()) become_program_beside("gabra-exec", arguments);
  const auto compiled = Compiler(job.plan.problem).compile(job.plan.plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    fmt::print(stderr, "gabra: the plan cannot run: {}\n", infeasible_text(*reason, *job.plan.problem.cluster));
    return kNoFeasiblePlan;
  }
  const std::vector<std::string> words = mpirun_words(flags, device_count(job.plan.plan), arguments_behind(arguments));
  const std::int64_t restarts = flags.integer("--max-restarts", {0}).value_or(0);
  set_rank_environment(job.threads_per_rank, job.is_quiet);
  return run_with_restarts(job, words, restarts);
}

int run_calibrate_launcher(const FlagSet& flag_set, char** arguments) {
  if (!flag_set.values("--from-table").empty()) return run_calibrate_from_tables(flag_set);
  const exec::CalibrateJob job = read_calibrate_job(flag_set);
  FaultList faults;
  FlagReader flags(flag_set, faults);
  if (is_rank_of_job()) become_program_beside("gabra-exec", arguments);
  set_rank_environment(job.threads_per_rank, job.is_quiet);
  return run_ranks(mpirun_words(flags, static_cast<std::size_t>(job.devices), arguments_behind(arguments)),
                   "the calibration");
}

}  // namespace gabra::cli
