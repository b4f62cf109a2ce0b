// SPDX-License-Identifier: MIT
#include "launch.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "child.hpp"
#include "gabra/plan/compiler.hpp"
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

bool has_variable(const char* name) { return std::getenv(name) != nullptr; }

/// Whether this process is itself a rank that mpirun or srun started. A batch script of Slurm is not: it has a job,
/// but no step of several tasks.
bool is_rank_of_job() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
    if (has_variable(name)) return true;
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  return has_variable("SLURM_PROCID") && tasks != nullptr && std::atoi(tasks) > 1;
}

/// Whether something else than this machine says how many ranks may run: then mpirun must not start more.
bool has_allocation(FlagReader& flags) {
  return flags.is_given("--hosts") || flags.is_given("--hostfile") || has_variable("SLURM_JOB_ID") ||
         has_variable("PBS_JOBID") || has_variable("LSB_JOBID");
}

std::size_t device_count(const Plan& plan) {
  std::set<DeviceId> devices;
  for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
  return devices.size();
}

std::vector<std::string> mpirun_command(FlagReader& flags, const exec::TrainJob& job, char** arguments) {
  std::vector<std::string> words{"mpirun"};
  if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
  if (!has_allocation(flags)) words.emplace_back("--oversubscribe");
  // gabra-exec binds itself to --threads-per-rank cores.
  for (const char* word : {"--bind-to", "none", "-x", "OMP_NUM_THREADS", "-x", "GABRA_PROGRESS"})
    words.emplace_back(word);
  for (const auto& [flag, option] : {std::pair{"--hosts", "--host"}, std::pair{"--hostfile", "--hostfile"}})
    if (const auto value = flags.text(flag)) words.insert(words.end(), {option, *value});
  words.insert(words.end(), {"-np", std::to_string(device_count(job.plan.plan)), program_beside("gabra-exec")});
  for (char** argument = arguments + 1; *argument != nullptr; ++argument) words.emplace_back(*argument);
  return words;
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

void print_error(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

int run_with_restarts(const exec::TrainJob& job, std::vector<std::string> words, std::int64_t restarts) {
  bool resumes = job.checkpoints.resumes;
  while (true) {
    MpirunMessages messages;
    const ChildEnd end = run_child(words, [&](std::string_view piece) { print_error(messages.pass(piece)); });
    print_error(messages.rest());
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
  const std::vector<std::string> words = mpirun_command(flags, job, arguments);
  const std::int64_t restarts = flags.integer("--max-restarts", {0}).value_or(0);
  ::setenv("OMP_NUM_THREADS", std::to_string(job.threads_per_rank).c_str(), 1);
  ::setenv("GABRA_PROGRESS", !job.is_quiet && ::isatty(STDERR_FILENO) != 0 ? "1" : "0", 1);
  return run_with_restarts(job, words, restarts);
}

}  // namespace gabra::cli
