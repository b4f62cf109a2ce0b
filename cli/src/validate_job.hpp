// SPDX-License-Identifier: MIT
#pragma once

#include "device_request.hpp"
#include "flags.hpp"
#include "gabra/plan/plan_file.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::cli {

/// `gabra validate`, as it is asked for.
struct ValidateJob {
  struct Item {
    std::string name;  ///< for people
    std::string path;
    PlanFile file;
  };
  std::vector<Item> plans;
  bool is_set = false;      ///< --plans
  std::int64_t steps = 20;  ///< of each plan, over all rounds
  std::int64_t rounds = 3;  ///< every plan once in each, so that the machine's noise shows
  std::size_t ranks = 1;    ///< as many as the plan with the most devices has, or as the job that this is part of
  RankDevices devices;
  Seconds timeout{600.0};  ///< a transfer without progress for so long is a failure
  std::uint64_t seed = 0;
  std::vector<std::string> launcher;  ///< all words before gabra-exec; none: this process is a rank of a job already
  bool is_quiet = false;

  /// Arguments of the gabra-exec that measures.
  [[nodiscard]] std::vector<std::string> measure_arguments() const;
  /// Of round `round`, as equal as can be: 20 steps are 6, 7 and 7.
  [[nodiscard]] std::int64_t steps_of(std::int64_t round) const {
    return (steps * (round + 1)) / rounds - (steps * round) / rounds;
  }
};

/// The flags, read and checked, all plans with them. Throws InputError with every fault.
[[nodiscard]] ValidateJob read_validate_job(const FlagSet& flags);

}  // namespace gabra::cli
