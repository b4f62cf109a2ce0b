// SPDX-License-Identifier: MIT
#pragma once

#include "partition.hpp"
#include "plan_space.hpp"

#include <string_view>
#include <vector>

namespace gabra::ga {

/// The plan families of baselines.hpp.
enum class Family { OneDevice, DataParallel, Sequential, EvenPipeline, EvenGPipe };
inline constexpr Family kFamilies[] = {Family::OneDevice, Family::DataParallel, Family::Sequential,
                                       Family::EvenPipeline, Family::EvenGPipe};
[[nodiscard]] std::string_view to_text(Family family);

/// Every plan of a family, in canonical form without repeats: all admissible M, bucket sizes and orders of devices,
/// all stages with this recomputation.
[[nodiscard]] std::vector<Plan> family_plans(Family family, const PlanSpace& space, StageEstimator& estimator,
                                             Recompute recompute);

}  // namespace gabra::ga
