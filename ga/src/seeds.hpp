// SPDX-License-Identifier: MIT
#pragma once

#include "partition.hpp"
#include "plan_space.hpp"

#include <vector>

namespace gabra::ga {

/// Heuristic plans in canonical form, without repeats and in a fixed order: pipelines with equal replicas (even and
/// balanced cuts, replicas on neighbouring devices or spread over the order), PipeDream's dynamic program, a last stage
/// of its own for the bulk of the parameters, interleaved pipelines, list scheduling; each for several M and orders of
/// the devices, and where a stage seems not to fit its devices, once more with that stage recomputed.
[[nodiscard]] std::vector<Plan> heuristic_plans(const PlanSpace& space, StageEstimator& estimator);

/// List scheduling in the steady state of a pipeline: units in order, each to the device on which the load it already
/// has, the unit's time and the transfer of its inputs end first; runs of units on one device become stages.
[[nodiscard]] std::vector<Stage> list_scheduled_stages(StageEstimator& estimator, const DeviceOrder& order,
                                                       std::int64_t micro_batches);

}  // namespace gabra::ga
