// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace gabra::exec {

/// Elements that are converted at a time, where all at once would take memory as large as the weights: a core's cache
/// holds them; for a GPU fewer launches matter.
[[nodiscard]] inline std::int64_t chunk_for(const at::Tensor& tensor) {
  return std::int64_t{1} << (tensor.is_cpu() ? 16U : 24U);
}

}  // namespace gabra::exec
