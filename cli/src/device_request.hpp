// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/exec/job.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace gabra::cli {

/// Ranks to start.
struct DeviceRequest {
  exec::Hardware hardware = exec::Hardware::Cpu;
  std::int64_t count = 1;
};

/// "cpu:2", "cuda:4"; a fault and nothing for anything else.
[[nodiscard]] std::optional<DeviceRequest> read_devices(FlagReader& flags, const std::string& name);

}  // namespace gabra::cli
