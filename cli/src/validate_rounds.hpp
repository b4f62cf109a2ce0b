// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/comparison.hpp"
#include "progress.hpp"
#include "validate_job.hpp"

#include <string>
#include <vector>

namespace gabra::cli {

/// A plan on its way from the simulator to the ranks.
struct ValidatedPlan {
  ComparedStep step;                  ///< simulated; `measured` grows with every round
  std::vector<Timeline> timelines{};  ///< of all steps that were measured
  std::string left_out{};             ///< why it is not measured, or not any more; empty: it is

  [[nodiscard]] bool is_measured() const { return !step.measured.rounds.empty(); }
};

struct RoundsEnd {
  bool is_interrupted = false;
  bool has_lost_a_job = false;  ///< over a plan, or when another should have been started
};

/// Runs the plans that are not left out on the ranks of a `gabra-exec measure` job, every plan once in each round. A
/// plan that cannot be measured is left out with its reason; one that crashes, hangs or runs out of memory ends its
/// job, and the others go on in another. What was measured stays, whatever happens after. Throws Error where no job can
/// be started at all; InputError where the job refuses a plan that is the only one.
[[nodiscard]] RoundsEnd measure_in_rounds(const ValidateJob& job, std::vector<ValidatedPlan>& plans,
                                          Progress& progress);

}  // namespace gabra::cli
