// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/measure.hpp"

#include <cstdio>
#include <string>

namespace gabra::exec {

/// A job that measures plan after plan.
struct MeasureJob {
  MeasureDevices devices;
  Seconds timeout{60.0};  ///< ranks that wait for each other for so long, outside of a step, end the job
  std::string version;
  std::string git;
};

/// Greets on rank 0's `out`, then measures the plan of every line that comes in on its `in` and writes a line about it,
/// until `in` ends (gabra/plan/job_lines.hpp). Collective over all ranks; between plans they use no core. What a plan
/// or a line has wrong is a reply; throws DeviceError, and what LibTorch throws, on the rank that failed.
void serve_measurements(const MeasureJob& job, const MpiWorld& world, Monitor& monitor, std::FILE* in, std::FILE* out);

}  // namespace gabra::exec
