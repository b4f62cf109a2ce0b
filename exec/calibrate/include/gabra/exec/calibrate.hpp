// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/calibrate_job.hpp"
#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <string>

namespace gabra::exec {

/// Measures the ranks of this run, fits a cluster and a profile (gabra/calibration/machine.hpp), and writes both files.
/// Collective over all ranks. Returns what to print at rank 0, an empty text elsewhere. Throws InputError on all ranks
/// alike; DeviceError and other Errors on any.
///
/// By size of micro-batch, in turn, so that a machine whose speed changes changes all alike: all units as stages of
/// their own on all ranks at once, and on one rank alone; the whole network on all ranks (data parallel, with its
/// all-reduces), and on one. Then messages between every pair and all-reduces over the first 2, 4, 8, ... ranks, by
/// size. Rounds are repeated until the medians of whole passes are known well enough or time is up.
[[nodiscard]] std::string calibrate(const CalibrateJob& job, const MpiWorld& world, Monitor& monitor);

}  // namespace gabra::exec
