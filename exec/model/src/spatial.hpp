// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace gabra::exec {

/// LibTorch has fast convolutions and pools for two and three spatial dimensions; one is taken as a plane of height 1.
/// Attributes: `value` is what the added dimension gets (kernel 1, padding 0).
[[nodiscard]] inline std::vector<std::int64_t> lifted(std::vector<std::int64_t> extents, std::int64_t value) {
  if (extents.size() == 1) extents.insert(extents.begin(), value);
  return extents;
}
/// [n, c, length] as [n, c, 1, length]; others as they are. Also for weights.
[[nodiscard]] inline at::Tensor lifted(const at::Tensor& tensor) {
  return tensor.dim() == 3 ? tensor.unsqueeze(2) : tensor;
}
/// Back to `dimensions` in all.
[[nodiscard]] inline at::Tensor lowered(const at::Tensor& tensor, std::int64_t dimensions) {
  return tensor.defined() && tensor.dim() > dimensions ? tensor.squeeze(2) : tensor;
}

}  // namespace gabra::exec
