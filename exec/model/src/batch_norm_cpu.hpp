// SPDX-License-Identifier: MIT
#pragma once

#include "kernel.hpp"

#include <string>

namespace gabra::exec {

/// Layers that a batch norm computes along with itself.
struct Followers {
  bool has_residual = false;  ///< an addition of a second input
  bool has_relu = false;
};

/// float32 and float64 on the CPU have a kernel of our own, which takes followers in.
[[nodiscard]] bool has_batch_norm_on_cpu(const ModelOptions& options);
[[nodiscard]] KernelPointer make_batch_norm_on_cpu(const BatchNorm& layer, const KernelParts& parts,
                                                   Followers followers);

/// Throws InputError where training would divide by zero values less one.
void refuse_single_value(const std::string& layer, const at::Tensor& x, bool is_training);

/// What a micro-batch's statistics weigh in the running ones: momentum (1 - momentum)^(M-1-m), as one after another.
[[nodiscard]] double statistics_share(const BatchStatistics& statistics, const FlatState& state,
                                      const ForwardPass& pass);

}  // namespace gabra::exec
