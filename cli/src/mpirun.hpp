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

/// Runs them and returns their exit status: 0, 2, 128 + the signal that interrupted this process, or 3, with a line
/// that says that `what` ("the calibration") stopped, and why.
[[nodiscard]] int run_ranks(const std::vector<std::string>& words, const std::string& what);

void print_to_stderr(const std::string& text);

}  // namespace gabra::cli
