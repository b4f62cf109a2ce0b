// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"

#include <cstddef>
#include <string>

namespace gabra::exec {

/// How calibrated machines name their devices: CPU0, CPU1, ...; GPU0, ...
[[nodiscard]] inline std::string device_name(Hardware hardware, std::size_t number) {
  return (hardware == Hardware::Cpu ? "CPU" : "GPU") + std::to_string(number);
}

}  // namespace gabra::exec
