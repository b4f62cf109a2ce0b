// SPDX-License-Identifier: MIT
#pragma once

#ifdef GABRA_WITH_CUDA

#include <cuda_runtime_api.h>

namespace gabra::exec {

/// Which GPU a call was about.
struct CudaPlace {
  int rank = 0;
  int index = 0;
};

/// Throws DeviceError with the call, CUDA's name and text of the code, rank and GPU, unless `code` is cudaSuccess. The
/// one place where a code of CUDA becomes an error.
void check_cuda(cudaError_t code, const char* call, CudaPlace place);

}  // namespace gabra::exec

#endif
