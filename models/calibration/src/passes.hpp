// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/machine.hpp"

#include <vector>

namespace gabra::detail {

/// Durations of one unit's (or stage's) passes over all devices, micro-batches and steps.
struct PassTimes {
  std::vector<double> forward;
  std::vector<double> backward;  ///< only backwards in one piece: no all-reduce runs beside them
};
/// By stage of the run's plan.
[[nodiscard]] std::vector<PassTimes> pass_times(const CalibrationRun& run);

/// Durations of all spans with this opcode.
[[nodiscard]] std::vector<double> durations(const CalibrationRun& run, Opcode opcode);

/// Time between two instructions that follow each other on a compute stream, where the second waits for nothing else.
[[nodiscard]] std::vector<double> gaps(const CalibrationRun& run);

/// Backwards in pieces, all-reduces beside them: by device and step, the time from the first piece's begin to the last
/// one's end, and which all-reduces began before that end.
struct OverlappedBackward {
  double seconds = 0.0;
  std::vector<std::pair<Bytes, int>> reductions;  ///< bytes and number of devices
};
[[nodiscard]] std::vector<OverlappedBackward> overlapped_backwards(const CalibrationRun& run);

}  // namespace gabra::detail
