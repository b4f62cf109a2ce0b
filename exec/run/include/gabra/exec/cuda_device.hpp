// SPDX-License-Identifier: MIT
#pragma once

#ifdef GABRA_WITH_CUDA

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"

#include <c10/core/Device.h>

#include <memory>

namespace gabra::exec {

struct CudaDeviceOptions {
  int index = 0;  ///< of the GPU in this process
  /// finish() gives up when the GPU has not ended the step after so long.
  double time_limit_s = 300.0;
};

/// Number of CUDA devices that this process sees; 0 without a driver.
[[nodiscard]] int cuda_device_count();

/// Memory of a GPU, and what all processes use of it. Throws DeviceError where the GPU cannot be used.
struct CudaMemory {
  Bytes total, in_use;
};
[[nodiscard]] CudaMemory cuda_memory(int index);

/// For the process: float32 means float32 (no TF32), and cuDNN searches for the fastest convolution of every shape,
/// since volumes have one shape, step after step.
void set_cuda_arithmetic();

/// A rank with a GPU: Program::devices[communicator.rank()]. `program` and `communicator` must outlive it. Calls
/// set_cuda_arithmetic(). Throws DeviceError where the GPU cannot be used.
[[nodiscard]] std::unique_ptr<Device> make_cuda_device(const Program& program, Communicator& communicator,
                                                       const CudaDeviceOptions& options = {});

}  // namespace gabra::exec

#endif
