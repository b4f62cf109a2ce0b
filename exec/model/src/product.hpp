// SPDX-License-Identifier: MIT
#pragma once

#include "flat_state.hpp"

#include <ATen/core/Tensor.h>

namespace gabra::exec {

/// rows [n, in] x weight [out, in]^T + bias: [n, out]. `bias` may be null.
[[nodiscard]] at::Tensor affine(const at::Tensor& rows, const Parameter& weight, const Parameter* bias);

/// Adds the gradients of weight and bias, given that of affine()'s result.
void affine_backward(const at::Tensor& gradient, const at::Tensor& rows, Parameter& weight, Parameter* bias);

}  // namespace gabra::exec
