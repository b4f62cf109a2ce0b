// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/infeasible.hpp"

#include <cstdint>
#include <variant>
#include <vector>

namespace gabra {

/// Where a device's step goes: compute + exposed_communication + bubble = step time.
struct DeviceReport {
  DeviceId device;
  Seconds compute;
  Seconds exposed_communication;  ///< not computing while one of its transfers or collectives runs
  Seconds bubble;                 ///< neither
  Bytes peak_memory;
  Joules energy;  ///< busy power while computing, idle power else
};

struct LinkReport {
  LinkId link;
  double bytes = 0.0;
  Seconds busy;  ///< at least one flow on it
};

/// What one training step costs, from the simulator or from hardware.
struct StepReport {
  Seconds step;
  double samples_per_second = 0.0;
  double bubble_fraction = 0.0;       ///< mean over the used devices of bubble / step
  Seconds exposed_communication;      ///< mean over the used devices
  Bytes peak_memory;                  ///< largest over the devices
  Joules energy;                      ///< sum over the used devices
  std::vector<DeviceReport> devices;  ///< used ones, ascending
  std::vector<LinkReport> links;      ///< used ones, ascending
};

/// The report, or a reason why there is none.
using Evaluation = std::variant<StepReport, Infeasible>;

}  // namespace gabra
