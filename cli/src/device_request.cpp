// SPDX-License-Identifier: MIT
#include "device_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostThreadsPerRank = 1024;
const std::vector<std::string> kHardwareNames{"cpu", "cuda"};

const std::string& name_of(exec::Hardware hardware) { return kHardwareNames[static_cast<std::size_t>(hardware)]; }

template <class T>
void add_once(std::vector<T>& values, const T& value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

void add_calibrations(const Cluster& cluster, DeviceId device, std::vector<MeasuredOn>& result) {
  if (const auto& measured_on = cluster.kind_of(device).measured_on) add_once(result, *measured_on);
}

/// What one flag says, and what devices were calibrated with: every distinct value once.
template <class T>
struct Choice {
  std::string flag;
  std::optional<T> given;
  std::vector<T> calibrated{};
  std::string devices{};  ///< "devices that were calibrated on cpu"

  [[nodiscard]] bool is_other() const { return given && !calibrated.empty() && calibrated != std::vector<T>{*given}; }
  /// Several calibrations are no default.
  [[nodiscard]] T value(T otherwise, FaultList& faults) const {
    if (!given && calibrated.size() > 1) faults.add(flag, "nothing, for " + devices, "one of them");
    return given.value_or(calibrated.empty() ? otherwise : calibrated.front());
  }
};

}  // namespace

std::optional<DeviceRequest> read_devices(FlagReader& flags, const std::string& name) {
  constexpr std::int64_t kMostRanks = 1024;
  const auto text = flags.text(name);
  if (!text) return std::nullopt;
  DeviceRequest request;
  const std::size_t colon = text->find(':');
  const std::string kind = text->substr(0, colon);
  bool is_sound = (kind == "cpu" || kind == "cuda") && colon != std::string::npos;
  if (is_sound) {
    request.hardware = kind == "cpu" ? exec::Hardware::Cpu : exec::Hardware::Cuda;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data() + colon + 1, end, request.count);
    is_sound = error == std::errc() && stop == end && request.count >= 1 && request.count <= kMostRanks;
  }
  if (is_sound) return request;
  flags.faults().add(name, in_quotes(*text), "cpu:NUMBER or cuda:NUMBER, with a number of ranks from 1 to 1024");
  return std::nullopt;
}

std::vector<MeasuredOn> calibrated_with(const Cluster& cluster) {
  std::vector<MeasuredOn> result;
  for (std::size_t d = 0; d < cluster.device_count(); ++d) add_calibrations(cluster, DeviceId(d), result);
  return result;
}

std::vector<MeasuredOn> calibrated_with(std::span<const PlanFile* const> plans) {
  std::vector<MeasuredOn> result;
  for (const PlanFile* file : plans)
    for (const Stage& stage : file->plan.stages)
      for (const DeviceId device : stage.devices) add_calibrations(*file->problem.cluster, device, result);
  return result;
}

HardwareFlag read_hardware_flag(FlagReader& flags) {
  HardwareFlag result{"--device", std::nullopt};
  if (const auto name = flags.choice(result.name, kHardwareNames)) result.given = static_cast<exec::Hardware>(*name);
  return result;
}

RankDevices read_rank_devices(FlagReader& flags, const HardwareFlag& hardware_flag,
                              const std::vector<MeasuredOn>& calibrated, OtherHardware other_hardware) {
  Choice<exec::Hardware> hardware{hardware_flag.name, hardware_flag.given};
  Choice<std::int64_t> threads{"--threads-per-rank", flags.integer("--threads-per-rank", {1, kMostThreadsPerRank})};
  std::vector<std::string> names;
  for (const MeasuredOn& one : calibrated) {
    add_once(hardware.calibrated, static_cast<exec::Hardware>(one.hardware));
    add_once(threads.calibrated, one.threads_per_rank);
    add_once(names, name_of(static_cast<exec::Hardware>(one.hardware)));
  }
  hardware.devices = fmt::format("devices that were calibrated on {}", fmt::join(names, " and "));
  threads.devices =
      fmt::format("devices that were calibrated with {} thread{} a rank", fmt::join(threads.calibrated, " and "),
                  threads.calibrated == std::vector<std::int64_t>{1} ? "" : "s");
  RankDevices result{.hardware = hardware.value(exec::Hardware::Cpu, flags.faults()),
                     .threads_per_rank = threads.value(1, flags.faults())};
  if (hardware.is_other() && other_hardware == OtherHardware::Refused)
    flags.faults().add(hardware.flag, fmt::format("{} for {}", name_of(*hardware.given), hardware.devices),
                       fmt::format("{}, or a cluster that was calibrated on it", fmt::join(names, " and ")));
  if (hardware.is_other() && other_hardware == OtherHardware::Noted)
    result.notes.push_back(fmt::format("{} {} for {}: predictions are not of these ranks", hardware.flag,
                                       name_of(*hardware.given), hardware.devices));
  if (threads.is_other())
    result.notes.push_back(
        fmt::format("{} {} for {}: predictions are not of these ranks", threads.flag, *threads.given, threads.devices));
  return result;
}

}  // namespace gabra::cli
