// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/rng.hpp"
#include "partition.hpp"
#include "plan_space.hpp"

#include <cstddef>
#include <vector>

namespace gabra::ga {

/// Changes of a plan. Each returns a plan of the space, possibly the same one, for every plan of the space and every
/// state of the random numbers.

/// One random mutation: moves a cut, swaps or moves devices, changes the replicas of a stage or their order, splits or
/// merges stages, rebalances the cuts, or changes M, schedule, recomputation or bucket size.
[[nodiscard]] Plan mutate(Plan plan, const PlanSpace& space, StageEstimator& estimator, Rng& rng);

/// Cut-point crossover: stages of `left` up to a random unit, of `right` from there on, devices used by both halves
/// mostly exchanged for unused ones in the right half.
[[nodiscard]] Plan cross_cuts(const Plan& left, const Plan& right, const PlanSpace& space, Rng& rng);

/// Assignment crossover: cuts of `cuts`, the devices of each stage from the stage of `devices` that holds its middle
/// unit.
[[nodiscard]] Plan cross_assignment(const Plan& cuts, const Plan& devices, const PlanSpace& space, Rng& rng);

/// Every plan one small step away: cuts moved by one or two units, two devices exchanged, a device moved, added or
/// taken away, a stage split in the middle or merged with the next, another M, schedule, recomputation or bucket size.
[[nodiscard]] std::vector<Plan> neighbours(const Plan& plan, const PlanSpace& space);

/// Exchanges devices of stages from `first_stage` on that an earlier stage uses too for unused ones, as far as there
/// are.
void unshare(Plan& plan, std::size_t first_stage, const PlanSpace& space);

/// Devices that no stage uses, ascending.
[[nodiscard]] std::vector<DeviceId> unused_devices(const Plan& plan, const PlanSpace& space);

}  // namespace gabra::ga
