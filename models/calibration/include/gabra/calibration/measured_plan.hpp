// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/plan/timeline.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gabra {

/// Steps of one plan on real devices, in rounds between which other plans ran.
struct MeasuredPlan {
  std::string path;                          ///< of the plan's file
  std::vector<std::vector<Seconds>> rounds;  ///< step times of each
  std::int64_t disturbed_steps = 0;          ///< left out, for somebody else used the machine beside them
  Timeline timeline;                         ///< of the step nearest to the median
  std::vector<Seconds> typical;              ///< by instruction: the median of its duration over all steps
  std::vector<Bytes> peak_memory;            ///< of tensors, by device of the Program

  [[nodiscard]] std::size_t step_count() const;
  /// "20 steps in 3 rounds, 2 more left out while somebody else used the machine".
  [[nodiscard]] std::string steps_text() const;
  /// Of all steps of all rounds.
  [[nodiscard]] Seconds median_step() const;
  /// How far apart the rounds' medians are: half their range over the median step. None of fewer than two rounds.
  [[nodiscard]] std::optional<double> noise() const;
};

/// Takes the timelines of all steps, in the order of the rounds' steps: fills in `timeline` and `typical`.
void set_timelines(MeasuredPlan& plan, const std::vector<Timeline>& timelines);

}  // namespace gabra
