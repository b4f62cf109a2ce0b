// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"

#include <string>
#include <vector>

namespace gabra {

/// When every instruction of a Program ran; from the simulator or from hardware alike.
struct Timeline {
  struct Span {
    Seconds begin;  ///< for a Send/Receive pair and a collective: when the transfer begins, not when it waits
    Seconds end;
  };
  std::vector<Span> spans;  ///< by InstructionId
  Seconds end;              ///< of the step, which begins at 0
};

struct MemorySample {
  Seconds time;
  DeviceId device;
  Bytes in_use;
};

/// Memory in use over time: the Program's memory events at the Timeline's times, static memory included, ordered by
/// (time, device); one sample per change.
[[nodiscard]] std::vector<MemorySample> memory_samples(const Program& program, const Timeline& timeline);

}  // namespace gabra
