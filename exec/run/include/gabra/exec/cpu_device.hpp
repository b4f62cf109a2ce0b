// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"

#include <memory>

namespace gabra::exec {

struct CpuDeviceOptions {
  /// finish() gives up when no transfer has ended for so long while compute waits for one.
  double time_limit_s = 300.0;
};

/// A rank of CPU cores: Program::devices[communicator.rank()]. `program` and `communicator` must outlive it. Computes
/// with LibTorch's threads (at::set_num_threads() is the caller's).
[[nodiscard]] std::unique_ptr<Device> make_cpu_device(const Program& program, Communicator& communicator,
                                                      const CpuDeviceOptions& options = {});

}  // namespace gabra::exec
