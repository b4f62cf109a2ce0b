// SPDX-License-Identifier: MIT
#include "launch.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "calibrate_job.hpp"
#include "ranks.hpp"
#include "train_job.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <set>

namespace gabra::cli {
namespace {

std::size_t device_count(const Plan& plan) {
  std::set<DeviceId> devices;
  for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
  return devices.size();
}

bool has_checkpoint(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error))  // those of folds too
    if (entry.path().filename().string().starts_with("step-") && entry.path().extension() == ".json") return true;
  return false;
}

int run_with_restarts(const exec::TrainJob& job, std::vector<std::string> words, std::int64_t restarts) {
  bool resumes = job.checkpoints.resumes;
  for (std::int64_t restart = 1;; ++restart) {
    const RanksEnd end = run_ranks_once(words, "the training");
    if (end.status != kDeviceFailure) return end.status;
    if (has_checkpoint(job.checkpoints.folder))
      fmt::print(stderr, "gabra: --resume goes on from the newest checkpoint in {}\n", job.checkpoints.folder);
    if (restart > restarts) return end.status;
    if (!end.is_worth_retry) {
      fmt::print(stderr, "gabra: not started again: this would come again\n");
      return end.status;
    }
    fmt::print(stderr, "gabra: starting again from the newest checkpoint: restart {} of {}\n", restart, restarts);
    if (!resumes) words.emplace_back("--resume");
    resumes = true;
  }
}

/// CPU ranks share cores if they must, GPUs are never shared.
void note_shared_cores(const exec::TrainJob& job, std::size_t ranks) {
  const auto threads = static_cast<std::int64_t>(ranks) * job.threads_per_rank;
  if (job.is_quiet || job.hardware != exec::Hardware::Cpu || threads <= usable_cores()) return;
  fmt::print(stderr,
             "gabra: note: the plan has {} devices, so {} CPU ranks of {} {} share the {} of this machine: the result "
             "is right, the speed is not the plan's\n",
             ranks, ranks, job.threads_per_rank, job.threads_per_rank == 1 ? "thread" : "threads",
             usable_cores() == 1 ? "one core" : fmt::format("{} cores", usable_cores()));
}

}  // namespace

int run_train_launcher(const FlagSet& flag_set, char** arguments) {
  if (is_rank_of_job()) become_program_beside("gabra-exec", arguments);
  const exec::TrainJob job = read_train_job(flag_set);
  if (const auto reason = infeasible_reason(job)) {
    fmt::print(stderr, "gabra: {}\n", *reason);
    return kNoFeasiblePlan;
  }
  FaultList faults;
  FlagReader flags(flag_set, faults);
  const std::size_t ranks = device_count(job.plan.plan);
  const std::vector<std::string> words = mpirun_words(flags, ranks, arguments_behind(arguments));
  const std::int64_t restarts = flags.integer("--max-restarts", {0}).value_or(0);
  faults.throw_if_any();
  if (!has_allocation(flags)) note_shared_cores(job, ranks);
  if (!job.is_quiet)
    for (const std::string& note : device_notes(flag_set, job)) fmt::print(stderr, "gabra: note: {}\n", note);
  set_rank_environment(job.threads_per_rank, job.is_quiet);
  return run_with_restarts(job, words, restarts);
}

int run_calibrate_launcher(const FlagSet& flag_set, char** arguments) {
  if (!flag_set.values("--from-table").empty()) return run_calibrate_from_tables(flag_set);
  if (is_rank_of_job()) become_program_beside("gabra-exec", arguments);
  const exec::CalibrateJob job = read_calibrate_job(flag_set);
  FaultList faults;
  FlagReader flags(flag_set, faults);
  set_rank_environment(job.threads_per_rank, job.is_quiet);
  const std::vector<std::string> words =
      mpirun_words(flags, static_cast<std::size_t>(job.devices), arguments_behind(arguments));
  faults.throw_if_any();
  return run_ranks(words, "the calibration");
}

}  // namespace gabra::cli
