// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>

namespace gabra::exec {

struct LossResult {
  at::Tensor loss;      ///< scalar; float32, or float64 of float64 outputs
  at::Tensor gradient;  ///< of the output, in its dtype and shape
};

/// Cross entropy of `output` over its dimension `classes`: the mean over all positions of class_weights[target] x
/// -log softmax(output)[target], times `scale`. `class_weights` may be undefined: all ones. All on one device.
[[nodiscard]] LossResult cross_entropy(const at::Tensor& output, std::int64_t classes, const at::Tensor& target,
                                       const at::Tensor& class_weights, double scale);

}  // namespace gabra::exec
