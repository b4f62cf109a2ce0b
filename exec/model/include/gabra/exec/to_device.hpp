// SPDX-License-Identifier: MIT
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

namespace gabra::exec {

/// `tensor` on `device`, unchanged if it is there. To a GPU it goes from pinned memory on the current stream, which is
/// what orders it before whatever reads it: the host does not wait for the copy.
[[nodiscard]] at::Tensor to_device(at::Tensor tensor, c10::Device device);

}  // namespace gabra::exec
