// SPDX-License-Identifier: MIT
#include "gabra/plan/problem.hpp"

namespace gabra {

ParameterBytes parameter_bytes(Precision precision, Optimizer optimizer) {
  const std::int64_t moments = optimizer == Optimizer::SgdMomentum ? 1 : 2;
  if (precision == Precision::Float32) return {4, 4, 4 * moments};
  return {2, 2, 4 + 4 * moments};
}

}  // namespace gabra
