// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::cli {

/// Whether this process is itself a rank that mpirun or srun started. A batch script of Slurm is not: it has a job,
/// but no step of several tasks.
[[nodiscard]] bool is_rank_of_job();

/// Before MPI starts: ranks of a job find the same faults in the same flags, and the first is to say so. True for
/// processes that are no ranks.
[[nodiscard]] bool is_first_rank();

/// Whether a `gabra` that waits for the end started this rank.
[[nodiscard]] bool is_started_by_gabra();

/// A fault for every one of `names` that is given to a rank of a job that somebody else started: too late for them.
void refuse_in_job(FlagReader& flags, const std::vector<std::string>& names);

/// Cores that this process may use.
[[nodiscard]] std::int64_t usable_cores();

/// Whether something else than this machine says how many ranks may run: then mpirun must not start more.
[[nodiscard]] bool has_allocation(const FlagReader& flags);

/// What was written behind the program's name.
[[nodiscard]] std::vector<std::string> arguments_behind(char** arguments);

/// "mpirun ... -np RANKS gabra-exec ARGUMENTS", with --hosts and --hostfile as `flags` has them. Throws InputError
/// where gabra-exec is missing.
[[nodiscard]] std::vector<std::string> mpirun_words(FlagReader& flags, std::size_t ranks,
                                                    const std::vector<std::string>& arguments);

/// For ranks that are started from here on: threads, and whether they show progress.
void set_rank_environment(std::int64_t threads, bool is_quiet);

/// How the ranks of one run ended.
struct RanksEnd {
  int status = 0;               ///< 0, 2, 3, 4, or 128 + the signal that interrupted this process
  bool is_worth_retry = false;  ///< a rank was killed, did not answer, or a machine was lost; all else comes again
};

/// Runs them. Where the status is 3, a line says that `what` ("the calibration") stopped, and why.
[[nodiscard]] RanksEnd run_ranks_once(const std::vector<std::string>& words, const std::string& what);
/// The same, for the status alone.
[[nodiscard]] int run_ranks(const std::vector<std::string>& words, const std::string& what);

}  // namespace gabra::cli
