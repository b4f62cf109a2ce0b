// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace gabra::exec {

/// Inputs and targets of a step's micro-batches, float32 (ids and targets Long), from `seed`.
struct RandomBatch {
  std::vector<std::vector<at::Tensor>> inputs;
  std::vector<at::Tensor> targets;
};
[[nodiscard]] RandomBatch make_random_batch(const Network& network, std::int64_t micro_batches,
                                            std::int64_t micro_batch_size, std::uint64_t seed);

/// |a - b| / |b| over all elements, in float64; |a| where b is zero.
[[nodiscard]] double relative_difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace gabra::exec
