// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"
#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <string>

namespace gabra::exec {

/// One training after the other, each with another fold of `job.samples.data` as its test part and with the folder
/// fold-I of the folder of checkpoints. Like train(), to which the rest applies; returns the measures of each fold and
/// their means, in lines or as one document.
[[nodiscard]] std::string train_folds(const TrainJob& job, const MpiWorld& world, Monitor& monitor);

}  // namespace gabra::exec
