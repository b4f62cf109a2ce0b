// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/pool/line_process.hpp"

#include <sys/types.h>

namespace gabra::pool {

/// A started process and this side's ends of its three streams, all non-blocking and closed by exec.
struct Spawned {
  pid_t id = -1;
  int input = -1;   ///< write end
  int output = -1;  ///< read end
  int error = -1;   ///< read end
};

/// Starts the process as the leader of a new process group. Throws Error when that fails, also when there is no such
/// program.
[[nodiscard]] Spawned spawn(const LineProcessOptions& options);

}  // namespace gabra::pool
