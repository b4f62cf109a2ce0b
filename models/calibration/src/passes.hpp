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

/// A message of a step to a device that computed nothing while it was under way.
struct AwaitedMessage {
  Bytes bytes;
  double seconds = 0.0;
};
[[nodiscard]] std::vector<AwaitedMessage> awaited_messages(const CalibrationRun& run);

/// A pass (forward, or backward in one piece), and the messages that came or left while it computed.
struct PassWithMessages {
  Opcode opcode = Opcode::Forward;
  StageId stage;
  double seconds = 0.0;
  double received = 0.0, sent = 0.0;  ///< bytes
};
[[nodiscard]] std::vector<PassWithMessages> passes_with_messages(const CalibrationRun& run);

}  // namespace gabra::detail
