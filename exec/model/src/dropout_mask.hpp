// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace gabra::exec {

/// What decides a dropout mask: the same whichever rank draws it, in whatever micro-batches, first time or again.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::string_view layer;
  std::int64_t step = 0;
  std::int64_t first_sample = 0;  ///< of the micro-batch, within the global batch
  double probability = 0.5;       ///< of dropping an element
};

/// true where an element is kept; `sizes` has the samples first. A counter-based hash (SplitMix64's) of seed, layer,
/// step and sample starts each sample's sequence, and another of that and the element's index decides.
[[nodiscard]] at::Tensor dropout_mask(const DropoutKey& key, c10::IntArrayRef sizes, c10::Device device);

/// The same by LibTorch's integer operations: what devices other than the CPU use, and tests compare.
[[nodiscard]] at::Tensor dropout_mask_by_operations(const DropoutKey& key, c10::IntArrayRef sizes, c10::Device device);

}  // namespace gabra::exec
