// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/problem.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gabra::cli {

/// Who prices the plans of a search.
enum class PricedBy : std::uint8_t { Sim, Exec, Both };

/// `--evaluator` and what belongs to it.
struct HardwareRequest {
  PricedBy priced_by = PricedBy::Sim;
  bool is_cuda = false;
  std::int64_t ranks = 0;  ///< --devices
  std::optional<std::int64_t> measurements;
  std::optional<Seconds> measurement_time;
  std::int64_t warm_up = 2;
  std::int64_t steps = 5;
  Seconds step_limit{60.0};
  std::int64_t threads_per_rank = 1;
  std::optional<std::string> store_path;  ///< none: the user's cache
  bool reuses = true;
  std::vector<std::string> launcher;  ///< all words before the program's name

  [[nodiscard]] bool is_on() const { return priced_by != PricedBy::Sim; }
  /// The cluster that --devices alone stands for; empty: --cluster has to say which GPUs they are.
  [[nodiscard]] std::string cluster_name() const;
};

void add_hardware_flags(FlagSet& flags);
/// Faults go to the reader's list.
[[nodiscard]] HardwareRequest read_hardware_request(FlagReader& flags);
/// Threads of the ranks where no flag says them: what the cluster was calibrated with. A fault for ranks on other
/// hardware than that. Returns what people should know about it.
[[nodiscard]] std::vector<std::string> take_calibrated_threads(FlagReader& flags, const Problem& problem,
                                                               HardwareRequest& request);
/// What of the problem cannot be measured with these ranks.
void check_can_measure(const HardwareRequest& request, const Problem& problem, FaultList& faults);

}  // namespace gabra::cli
