// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/checkpoint.hpp"

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

namespace gabra::exec {

/// What Grad-CAM finds for one sample.
struct HeatMap {
  at::Tensor heat;           ///< [D, H, W] of the feature map, not below 0, not normalised
  at::Tensor probabilities;  ///< [classes], float64
  std::int64_t class_index = 0;
  std::string layer;  ///< whose output the feature map is
};

/// relu(sum over channels k of a_k A_k), a_k the mean over positions of the gradient of the class's score by feature
/// map A_k. A is the last tensor of images on the way to the output that is no pooling's. `input` is [1, 1, D, H, W];
/// without `class_index`, of the class with the highest probability. Throws InputError (place `place`) for a network
/// without such a map.
[[nodiscard]] HeatMap grad_cam(const Network& network, const std::vector<NamedTensor>& weights, const at::Tensor& input,
                               std::optional<std::int64_t> class_index, const std::string& place);

}  // namespace gabra::exec
