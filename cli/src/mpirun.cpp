// SPDX-License-Identifier: MIT
#include "mpirun.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "child.hpp"
#include "mpirun_messages.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace gabra::cli {
namespace {

bool has_variable(const char* name) { return std::getenv(name) != nullptr; }

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
  for (const char* word : {"--bind-to", "none", "-x", "OMP_NUM_THREADS", "-x", "GABRA_PROGRESS"})
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
}

void print_to_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

int run_ranks(const std::vector<std::string>& words, const std::string& what) {
  MpirunMessages messages;
  const ChildEnd end = run_child(words, [&](std::string_view piece) { print_to_stderr(messages.pass(piece)); });
  print_to_stderr(messages.rest());
  if (end.interrupted_by != 0) return 128 + end.interrupted_by;
  if (end.status == kDone || end.status == kBadInput) return end.status;
  const std::string rank = messages.ended_rank();
  if (!rank.empty())
    fmt::print(stderr, "gabra: {} stopped: {}\n", what, rank);
  else if (end.status > 128)
    fmt::print(stderr, "gabra: {} stopped: a rank was ended by signal {} ({})\n", what, end.status - 128,
               strsignal(end.status - 128));
  else
    fmt::print(stderr, "gabra: {} stopped\n", what);
  return kDeviceFailure;
}

}  // namespace gabra::cli
