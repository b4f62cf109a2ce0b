// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/options.hpp"
#include "gabra/network/network.hpp"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace gabra::exec {

/// What a layer is computed with.
struct ReferenceContext {
  const Network& network;
  std::map<std::string, at::Tensor>& tensors;  ///< parameters and buffers by name
  std::uint64_t seed = 0;
  PassContext pass;
};

/// A layer's output by LibTorch's functional operations, differentiable by autograd. Updates running statistics when
/// training.
[[nodiscard]] at::Tensor reference_layer(const ReferenceContext& context, LayerId layer,
                                         const std::vector<at::Tensor>& inputs);

}  // namespace gabra::exec
