// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"

#include <cstdint>

namespace gabra::exec {

/// How long a training is, in steps.
struct TrainingLength {
  std::int64_t steps = 1;
  std::int64_t steps_per_epoch = 1;
};

/// The learning rate of `step`, counted from 1. Cosine: base (1 + cos(pi t / T)) / 2 for step t of the T after warm-up,
/// t from 0, as PyTorch's CosineAnnealingLR; Step: base factor^(epochs done / epochs_per_step), as StepLR.
[[nodiscard]] double learning_rate_at(const LearningRate& rate, const TrainingLength& length, std::int64_t step);

}  // namespace gabra::exec
