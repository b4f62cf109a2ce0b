// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/render.hpp"
#include "gabra/plan/report.hpp"
#include "inputs.hpp"

#include <optional>
#include <string>

namespace gabra::cli {

/// The plan to simulate and what goes with it.
struct SimulateRequest {
  Problem problem;
  Plan plan;
  std::optional<std::uint64_t> seed;
  /// The plan was found with this profile, which is not given now.
  std::optional<std::uint64_t> missing_profile;
};

/// A simulated step with the step of the best single device, if there is one.
struct SimulateOutcome {
  const SimulateRequest& request;
  const StepReport& report;
  std::optional<Seconds> one_device;
};

[[nodiscard]] std::string simulate_text(const SimulateOutcome& outcome);
[[nodiscard]] std::string simulate_json(const SimulateOutcome& outcome);
[[nodiscard]] std::string infeasible_json(const SimulateRequest& request, const Infeasible& reason);

/// `--collective`: returns the exit status.
[[nodiscard]] int run_collective(FlagReader& flags, PlatformReader read_platform);

}  // namespace gabra::cli
