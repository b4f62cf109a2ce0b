// SPDX-License-Identifier: MIT
#include "gabra/exec/to_device.hpp"

#include <ATen/ATen.h>

namespace gabra::exec {

at::Tensor to_device(at::Tensor tensor, c10::Device device) {
  if (tensor.device() == device) return tensor;
  constexpr bool kAsynchronous = true;
  const bool pins = tensor.is_cpu() && !device.is_cpu() && !tensor.is_pinned();
  return (pins ? tensor.pin_memory() : tensor).to(device, tensor.scalar_type(), kAsynchronous);
}

}  // namespace gabra::exec
