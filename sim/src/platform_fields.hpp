// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace gabra::sim {

// What a SimGrid platform has no element for travels in properties; their names begin with "gabra_".

/// A figure of `Owner` as a number in its base unit.
template <class Owner>
struct NumberField {
  std::string_view property;
  double (*get)(const Owner&);
  void (*set)(Owner&, double);
};

inline constexpr std::array<NumberField<DeviceKind>, 13> kKindFields{{
    {"gabra_peak_bfloat16", [](const DeviceKind& kind) { return kind.peak_bfloat16.value(); },
     [](DeviceKind& kind, double value) { kind.peak_bfloat16 = FlopsPerSecond(value); }},
    {"gabra_memory", [](const DeviceKind& kind) { return static_cast<double>(kind.memory.value()); },
     [](DeviceKind& kind, double value) { kind.memory = Bytes(static_cast<std::int64_t>(value)); }},
    {"gabra_base_memory", [](const DeviceKind& kind) { return static_cast<double>(kind.base_memory.value()); },
     [](DeviceKind& kind, double value) { kind.base_memory = Bytes(static_cast<std::int64_t>(value)); }},
    {"gabra_memory_bandwidth", [](const DeviceKind& kind) { return kind.memory_bandwidth.value(); },
     [](DeviceKind& kind, double value) { kind.memory_bandwidth = BytesPerSecond(value); }},
    {"gabra_launch", [](const DeviceKind& kind) { return kind.launch.value(); },
     [](DeviceKind& kind, double value) { kind.launch = Seconds(value); }},
    {"gabra_launches_by_layer",
     [](const DeviceKind& kind) { return kind.launch_ahead == LaunchAhead::Layer ? 1.0 : 0.0; },
     [](DeviceKind& kind, double value) { kind.launch_ahead = value > 0.0 ? LaunchAhead::Layer : LaunchAhead::Pass; }},
    {"gabra_idle_power", [](const DeviceKind& kind) { return kind.idle_power.value(); },
     [](DeviceKind& kind, double value) { kind.idle_power = Watts(value); }},
    {"gabra_busy_power", [](const DeviceKind& kind) { return kind.busy_power.value(); },
     [](DeviceKind& kind, double value) { kind.busy_power = Watts(value); }},
    {"gabra_communication_slowdown", [](const DeviceKind& kind) { return kind.communication_slowdown; },
     [](DeviceKind& kind, double value) { kind.communication_slowdown = value; }},
    {"gabra_neighbour_slowdown", [](const DeviceKind& kind) { return kind.neighbour_slowdown; },
     [](DeviceKind& kind, double value) { kind.neighbour_slowdown = value; }},
    {"gabra_instruction_overhead", [](const DeviceKind& kind) { return kind.instruction_overhead.value(); },
     [](DeviceKind& kind, double value) { kind.instruction_overhead = Seconds(value); }},
    {"gabra_step_overhead", [](const DeviceKind& kind) { return kind.step_overhead.value(); },
     [](DeviceKind& kind, double value) { kind.step_overhead = Seconds(value); }},
    {"gabra_update_bandwidth", [](const DeviceKind& kind) { return kind.update_bandwidth.value(); },
     [](DeviceKind& kind, double value) { kind.update_bandwidth = BytesPerSecond(value); }},
}};

inline constexpr std::array<NumberField<CollectiveParameters>, 8> kCollectiveFields{{
    {"gabra_collective_launch", [](const CollectiveParameters& all) { return all.launch.value(); },
     [](CollectiveParameters& all, double value) { all.launch = Seconds(value); }},
    {"gabra_collective_step", [](const CollectiveParameters& all) { return all.step.value(); },
     [](CollectiveParameters& all, double value) { all.step = Seconds(value); }},
    {"gabra_collective_round_overhead", [](const CollectiveParameters& all) { return all.round_overhead; },
     [](CollectiveParameters& all, double value) { all.round_overhead = value; }},
    {"gabra_collective_half_bytes",
     [](const CollectiveParameters& all) { return static_cast<double>(all.half_bytes.value()); },
     [](CollectiveParameters& all, double value) { all.half_bytes = Bytes(static_cast<std::int64_t>(value)); }},
    {"gabra_collective_exponent", [](const CollectiveParameters& all) { return all.exponent; },
     [](CollectiveParameters& all, double value) { all.exponent = value; }},
    {"gabra_collective_low_latency_share", [](const CollectiveParameters& all) { return all.low_latency_share; },
     [](CollectiveParameters& all, double value) { all.low_latency_share = value; }},
    {"gabra_collective_switch_bytes",
     [](const CollectiveParameters& all) { return static_cast<double>(all.switch_bytes.value()); },
     [](CollectiveParameters& all, double value) { all.switch_bytes = Bytes(static_cast<std::int64_t>(value)); }},
    {"gabra_collective_tree_efficiency", [](const CollectiveParameters& all) { return all.tree_efficiency; },
     [](CollectiveParameters& all, double value) { all.tree_efficiency = value; }},
}};

inline constexpr std::string_view kNameProperty = "gabra_name";
inline constexpr std::string_view kKindProperty = "gabra_kind";
inline constexpr std::string_view kNodeProperty = "gabra_node";
inline constexpr std::string_view kCalibratedProperty = "gabra_is_calibrated";
inline constexpr std::string_view kSourceProperty = "gabra_source";
inline constexpr std::string_view kCollectiveSourceProperty = "gabra_collective_source";
inline constexpr std::string_view kLanesProperty = "gabra_lanes";
inline constexpr std::string_view kNvlinkProperty = "gabra_is_nvlink";
/// With the name of the compute class behind it: three numbers, flops, bandwidth and half_rows.
inline constexpr std::string_view kEfficiencyProperty = "gabra_efficiency_";

}  // namespace gabra::sim
