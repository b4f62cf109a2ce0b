// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"
#include "gabra/plan/plan_file.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gabra::exec {

/// The ranks' part of `gabra validate`: steps of every plan, in rounds.
struct ValidateJob {
  struct Item {
    std::string path;
    PlanFile file;
  };
  std::vector<Item> plans;
  std::int64_t steps = 20;  ///< of each plan, over all rounds
  std::int64_t rounds = 3;  ///< every plan once in each, so that the machine's noise shows
  std::int64_t ranks = 1;   ///< as many as the plan with the most devices has
  Hardware hardware = Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
  Seconds timeout{600.0};  ///< a transfer without progress for so long is a failure
  std::uint64_t seed = 0;
  std::string measured_file;  ///< where rank 0 writes what was measured
  bool is_quiet = false;
};

}  // namespace gabra::exec
