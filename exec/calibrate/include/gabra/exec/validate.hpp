// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/exec/validate_job.hpp"

namespace gabra::exec {

/// Runs every plan of the job, round after round, and writes what was measured (gabra/calibration/measured_plan.hpp).
/// A plan that does not fit its devices is measured nowhere, and the file says why. Collective over all ranks. Throws
/// InputError on all ranks alike; DeviceError and other Errors on any.
void measure_plans(const ValidateJob& job, const MpiWorld& world, Monitor& monitor);

}  // namespace gabra::exec
