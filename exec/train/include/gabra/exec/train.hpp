// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <string>

namespace gabra::exec {

/// Every rank stops for the same reason (a loss that is not a number): rank 0 reports it. Exit status 3.
class TrainingError : public Error {
 public:
  using Error::Error;
};

/// Trains. Collective over all ranks, one for each device of the plan. Returns what to print at rank 0 (a summary, or
/// one JSON document), an empty text elsewhere. Throws InputError and TrainingError on all ranks alike; DeviceError and
/// other Errors (a full disk) on any.
[[nodiscard]] std::string train(const TrainJob& job, const MpiWorld& world, Monitor& monitor);

}  // namespace gabra::exec
