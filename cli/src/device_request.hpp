// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/cluster/device_kind.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/plan/plan_file.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gabra::cli {

/// Ranks to start.
struct DeviceRequest {
  exec::Hardware hardware = exec::Hardware::Cpu;
  std::int64_t count = 1;
};

/// "cpu:2", "cuda:4"; a fault and nothing for anything else.
[[nodiscard]] std::optional<DeviceRequest> read_devices(FlagReader& flags, const std::string& name);

/// What ranks compute with.
struct RankDevices {
  exec::Hardware hardware = exec::Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
  std::vector<std::string> notes{};  ///< for people: where it is not what the devices were calibrated with
};

/// What the devices of a cluster, or those that plans use, were calibrated with: each once, none for kinds that do not
/// say it.
[[nodiscard]] std::vector<MeasuredOn> calibrated_with(const Cluster& cluster);
[[nodiscard]] std::vector<MeasuredOn> calibrated_with(std::span<const PlanFile* const> plans);

/// What is done about ranks on other hardware than the devices were calibrated on.
enum class OtherHardware : std::uint8_t { Refused, Noted };

/// The flag that says the hardware, and what it says.
struct HardwareFlag {
  std::string name;
  std::optional<exec::Hardware> given;
};
/// --device.
[[nodiscard]] HardwareFlag read_hardware_flag(FlagReader& flags);

/// The hardware and --threads-per-rank; where neither flag says it, what the devices were calibrated with, else CPU
/// ranks of one thread. Faults go to the reader's list.
[[nodiscard]] RankDevices read_rank_devices(FlagReader& flags, const HardwareFlag& hardware,
                                            const std::vector<MeasuredOn>& calibrated, OtherHardware other_hardware);

}  // namespace gabra::cli
