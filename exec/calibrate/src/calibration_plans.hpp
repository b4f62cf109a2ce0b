// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/machine.hpp"
#include "gabra/exec/calibrate_job.hpp"
#include "gabra/plan/plan.hpp"

#include <memory>
#include <vector>

namespace gabra::exec {

/// A plan that is run to learn something from it.
struct CalibrationPlan {
  CalibrationRole role = CalibrationRole::WholeAlone;
  std::int64_t micro_batch = 1;
  Problem problem;
  Plan plan;
};

/// The machine before anything is known of it: devices that are joined pairwise, with memory for anything.
[[nodiscard]] std::shared_ptr<const Cluster> unknown_machine(const CalibrateJob& job, const std::vector<int>& nodes);

/// The network with every layer a unit of its own.
[[nodiscard]] std::shared_ptr<const Network> by_layer(const Network& network);

/// What is repeated, by size of micro-batch; with one device the plans on all devices are left out.
[[nodiscard]] std::vector<CalibrationPlan> repeated_plans(const CalibrateJob& job,
                                                          const std::shared_ptr<const Cluster>& machine);
/// A stage for every layer, on all devices and on one, by size of micro-batch.
[[nodiscard]] std::vector<CalibrationPlan> layers_plans(const CalibrateJob& job,
                                                        const std::shared_ptr<const Cluster>& machine);

}  // namespace gabra::exec
