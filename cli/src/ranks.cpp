// SPDX-License-Identifier: MIT
#include "ranks.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "child.hpp"
#include "mpirun_messages.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace gabra::cli {
namespace {

constexpr const char* kStartedByGabra = "GABRA_STARTS_RANKS";

bool has_variable(const char* name) { return std::getenv(name) != nullptr; }

void print_to_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

bool is_end_by_signal(int status) { return status > 128 && status <= 128 + SIGRTMAX; }

bool has_word(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// mpirun's own text about slots is a page.
void print_lack_of_slots(const std::vector<std::string>& words) {
  const auto has = [&](const char* word) { return has_word(words, word); };
  const auto count = std::find(words.begin(), words.end(), "-np");
  const Fault fault{has("--host")       ? "--hosts"
                    : has("--hostfile") ? "--hostfile"
                                        : "the job's allocation",
                    fmt::format("fewer slots than the {} ranks", count == words.end() ? "" : *std::next(count)),
                    has("--host")       ? "a slot for every rank: NAME:SLOTS,NAME:SLOTS"
                    : has("--hostfile") ? "a slot for every rank: lines of NAME slots=NUMBER"
                                        : "a task for every rank"};
  fmt::print(stderr, "gabra: {}\n", to_text(fault));
}

void print_stop(const std::string& what, int status, const std::string& ended_rank) {
  if (!ended_rank.empty())
    fmt::print(stderr, "gabra: {} stopped: {}\n", what, ended_rank);
  else if (is_end_by_signal(status))
    fmt::print(stderr, "gabra: {} stopped: mpirun or a rank was ended by signal {} ({})\n", what, status - 128,
               strsignal(status - 128));
  else
    fmt::print(stderr, "gabra: {} stopped\n", what);
}

}  // namespace

bool has_allocation(const FlagReader& flags) {
  return flags.is_given("--hosts") || flags.is_given("--hostfile") || has_variable("SLURM_JOB_ID") ||
         has_variable("PBS_JOBID") || has_variable("LSB_JOBID");
}

bool is_rank_of_job() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
    if (has_variable(name)) return true;
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  return has_variable("SLURM_PROCID") && tasks != nullptr && std::atoi(tasks) > 1;
}

bool is_first_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* rank = std::getenv(name)) return std::strcmp(rank, "0") == 0;
  return true;
}

bool is_started_by_gabra() { return has_variable(kStartedByGabra); }

void refuse_in_job(FlagReader& flags, const std::vector<std::string>& names) {
  if (!is_rank_of_job() || is_started_by_gabra()) return;
  for (const std::string& name : names)
    if (flags.is_given(name))
      flags.faults().add(name, "this flag in an mpirun or srun job, whose ranks are there already",
                         "the flag where gabra starts the ranks");
}

std::int64_t usable_cores() {
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : ::sysconf(_SC_NPROCESSORS_ONLN);
}

std::vector<std::string> arguments_behind(char** arguments) {
  std::vector<std::string> words;
  for (char** argument = arguments + 1; *argument != nullptr; ++argument) words.emplace_back(*argument);
  return words;
}

std::vector<std::string> mpirun_words(FlagReader& flags, std::size_t ranks, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"mpirun"};
  if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
  if (!has_allocation(flags)) words.emplace_back("--oversubscribe");
  // gabra-exec binds itself to --threads-per-rank cores.
  for (const char* word : {"--bind-to", "none", "-x", "OMP_NUM_THREADS", "-x", "GABRA_PROGRESS", "-x", kStartedByGabra})
    words.emplace_back(word);
  for (const auto& [flag, option] : {std::pair{"--hosts", "--host"}, std::pair{"--hostfile", "--hostfile"}})
    if (const auto value = flags.text(flag)) words.insert(words.end(), {option, *value});
  words.insert(words.end(), {"-np", std::to_string(ranks), program_beside("gabra-exec")});
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

void set_rank_environment(std::int64_t threads, bool is_quiet) {
  ::setenv("OMP_NUM_THREADS", std::to_string(threads).c_str(), 1);
  ::setenv("GABRA_PROGRESS", !is_quiet && ::isatty(STDERR_FILENO) != 0 ? "1" : "0", 1);
  ::setenv(kStartedByGabra, "1", 1);
}

RanksEnd run_ranks_once(const std::vector<std::string>& words, const std::string& what) {
  MpirunMessages messages;
  const ChildEnd end = run_child(words, [&](std::string_view piece) { print_to_stderr(messages.pass(piece)); });
  print_to_stderr(messages.rest());
  if (end.interrupted_by != 0) return {.status = 128 + end.interrupted_by};
  if (end.has_lost_output && end.status == kDone) {
    fmt::print(stderr, "gabra: {}\n",
               to_text(Fault{"stdout", "an output that cannot be written", "a writable output"}));
    return {.status = kBadInput};
  }
  if (end.status == kDone || end.status == kBadInput || end.status == kNoFeasiblePlan) return {.status = end.status};
  if (messages.lacks_slots()) {
    print_lack_of_slots(words);
    return {.status = kBadInput};
  }
  if (messages.cannot_start()) {
    fmt::print(stderr, "gabra: {}\n",
               to_text(Fault{has_word(words, "--hostfile") ? "--hostfile" : "--hosts",
                             "a machine on which mpirun cannot start ranks",
                             "names of machines that ssh reaches without a password, with gabra "
                             "at the same path"}));
    return {.status = kDeviceFailure};
  }
  print_stop(what, end.status, messages.ended_rank());
  return {
      .status = kDeviceFailure,
      .is_worth_retry = end.status == kDeviceFailure || is_end_by_signal(end.status) || messages.has_lost_machine()};
}

int run_ranks(const std::vector<std::string>& words, const std::string& what) {
  return run_ranks_once(words, what).status;
}

}  // namespace gabra::cli
