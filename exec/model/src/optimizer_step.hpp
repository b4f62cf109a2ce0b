// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/options.hpp"
#include "gabra/plan/problem.hpp"

#include <ATen/core/Tensor.h>

#include <span>

namespace gabra::exec {

/// What a step of the optimizer reads and writes: flat tensors of the same length.
struct FlatStep {
  at::Tensor weights, gradients;  ///< gradients may be wider than weights; they are rounded first
  at::Tensor first, second;       ///< the optimizer's state, as wide as the arithmetic; SGD has no `second`
  at::Tensor master;              ///< bfloat16: float32 weights, which `weights` are rounded from; else undefined
};

/// By loops of our own, each element in one pass: on the CPU, float32, float64, bfloat16 with a master.
void step_on_cpu(Optimizer optimizer, const UpdateOptions& options, const FlatStep& step);

/// The same by LibTorch's fused operations, of all tensors together: on a GPU a few launches, and the host waits for
/// none. Gradients of another width are converted 16 Mi elements at a time.
void step_by_libtorch(Optimizer optimizer, const UpdateOptions& options, std::span<const FlatStep> steps);

/// The sum of all squares in float64, a scalar on the tensors' device. On the CPU added a block at a time; the other
/// makes nothing as large as the tensors on a GPU, in a few launches.
[[nodiscard]] at::Tensor squared_norm_on_cpu(std::span<const at::Tensor> tensors);
[[nodiscard]] at::Tensor squared_norm_by_libtorch(std::span<const at::Tensor> tensors);

}  // namespace gabra::exec
