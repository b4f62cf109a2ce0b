// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/json/reader.hpp"
#include "gabra/plan/problem.hpp"

namespace gabra {

/// The object `training` of plans, checkpoints, measurements and work lines; see docs/formats.md.
[[nodiscard]] json::Value to_value(const TrainingSettings& training);
/// Reads the field `training` of `object`, which is required.
[[nodiscard]] TrainingSettings read_training(json::ObjectReader& object);

}  // namespace gabra
