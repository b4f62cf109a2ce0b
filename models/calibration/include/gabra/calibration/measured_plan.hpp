// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// Steps of one plan on real devices, in rounds between which other plans ran.
struct MeasuredPlan {
  std::string path;                          ///< of the plan's file
  std::vector<std::vector<Seconds>> rounds;  ///< step times of each
  Timeline timeline;                         ///< of the step nearest to the median
  std::vector<Seconds> typical;              ///< by instruction: the median of its duration over all steps
  std::vector<Bytes> peak_memory;            ///< of tensors, by device of the Program
  std::string infeasible;                    ///< why nothing was measured; empty: it was

  /// Of all steps of all rounds.
  [[nodiscard]] Seconds median_step() const;
  /// How far apart the rounds' medians are: half their range over the median step. 0 for one round.
  [[nodiscard]] double noise() const;
};

/// Takes the timelines of all steps, in the order of the rounds' steps: fills in `timeline` and `typical`.
void set_timelines(MeasuredPlan& plan, const std::vector<Timeline>& timelines);

/// For gabra-exec to write and gabra-sim to read, within one run. Throws InputError for anything else.
[[nodiscard]] std::string to_json_text(const std::vector<MeasuredPlan>& plans);
[[nodiscard]] std::vector<MeasuredPlan> parse_measured_plans(std::string_view text, const std::string& name);

}  // namespace gabra
