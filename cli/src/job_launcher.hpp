// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace gabra::cli {

/// --launcher, --hosts, --hostfile: "mpirun ... -np RANKS" or "srun -n RANKS", all words before the program of a job
/// that measures. Faults go to the reader's list.
[[nodiscard]] std::vector<std::string> launcher_words(FlagReader& flags, std::size_t ranks);

/// How many ranks the mpirun or srun job has that this process is a rank of, as its launcher says before MPI starts.
/// Only where is_rank_of_job(); 1 where no launcher says it.
[[nodiscard]] std::size_t job_size();

}  // namespace gabra::cli
