// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"
#include "gabra/plan/job_lines.hpp"

#include <string>

namespace gabra::exec {

/// What this rank computes with: the host's name, the model of its processor or of GPU `local_rank`, its cores.
[[nodiscard]] JobRank describe_rank(Hardware hardware, int local_rank);

[[nodiscard]] std::string pack(const JobRank& rank);
[[nodiscard]] JobRank unpack_rank(const std::string& bytes);

}  // namespace gabra::exec
