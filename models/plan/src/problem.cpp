// SPDX-License-Identifier: MIT
#include "gabra/plan/problem.hpp"

namespace gabra {

ParameterBytes parameter_bytes(const TrainingSettings& training) {
  const std::int64_t moments = training.optimizer == Optimizer::SgdMomentum ? 1 : 2;
  const std::int64_t widening = training.gradient_sum == GradientSum::Wide ? 2 : 1;
  if (training.precision == Precision::Float32) return {4, 4 * widening, 4 * moments};
  return {2, 2 * widening, 4 + 4 * moments};
}

std::int64_t backward_parameter_bytes(const TrainingSettings& training) {
  const ParameterBytes bytes = parameter_bytes(training);
  const std::int64_t added = training.gradient_sum == GradientSum::Wide ? 2 * bytes.weight : 0;
  return bytes.weight + 2 * bytes.gradient + added;
}

std::int64_t statistic_bytes(const TrainingSettings& training) {
  return training.gradient_sum == GradientSum::Wide ? 8 : 4;
}

}  // namespace gabra
