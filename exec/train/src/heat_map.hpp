// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/checkpoint.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

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

/// What is asked for; by default the class with the highest probability and the last feature map.
struct HeatQuestion {
  std::optional<std::int64_t> class_index;
  std::optional<std::string> layer;
  c10::Device device = c10::Device(c10::DeviceType::CPU);  ///< that computes it; the result is on the CPU
};

/// relu(sum over channels k of a_k A_k), a_k the mean over positions of the gradient of the class's score by feature
/// map A_k. A is a tensor of volumes through which all of the network passes: of the layer that is asked for, else the
/// last that is no pooling's. `input` is [1, 1, D, H, W]. Throws InputError for a network without such a map (place
/// `place`) and for a layer that has none (place "--layer").
[[nodiscard]] HeatMap grad_cam(const Network& network, const std::vector<NamedTensor>& weights, const at::Tensor& input,
                               const HeatQuestion& question, const std::string& place);

}  // namespace gabra::exec
