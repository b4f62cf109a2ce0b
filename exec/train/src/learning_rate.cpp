// SPDX-License-Identifier: MIT
#include "learning_rate.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gabra::exec {

double learning_rate_at(const LearningRate& rate, const TrainingLength& length, std::int64_t step) {
  if (step <= rate.warmup_steps) return rate.base * static_cast<double>(step) / static_cast<double>(rate.warmup_steps);
  switch (rate.rule) {
    case LearningRateRule::Constant:
      break;
    case LearningRateRule::Cosine: {
      const auto done = static_cast<double>(step - 1 - rate.warmup_steps);
      const auto all = static_cast<double>(std::max<std::int64_t>(length.steps - rate.warmup_steps, 1));
      return rate.base * (1.0 + std::cos(std::numbers::pi * std::min(done / all, 1.0))) / 2.0;
    }
    case LearningRateRule::Step: {
      const std::int64_t epochs_done = (step - 1) / length.steps_per_epoch;
      const std::int64_t changes = epochs_done / rate.epochs_per_step;
      return rate.base * std::pow(rate.factor, static_cast<double>(changes));
    }
  }
  return rate.base;
}

}  // namespace gabra::exec
