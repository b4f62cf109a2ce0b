// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

namespace gabra::detail {

// What experiments/collectives fitted to the measured all-reduces of vTrain, and what stands in where nobody measured.

/// GB/s that a ring gets out of one lane of a V100's NVLink.
inline constexpr double kV100LaneGigabytes = 22.438;
/// Share of the wire's rate that a ring gets between an A100 and its NVSwitch.
inline constexpr double kA100SwitchShare = 0.90704;  // 272.11 of 300 GB/s

[[nodiscard]] inline CollectiveParameters v100_nvlink_parameters() {
  return {
      .launch = Seconds(24.83e-6),
      .step = Seconds(2.406e-6),
      .round_overhead = 0.0,
      .half_bytes = Bytes(0),
      .exponent = 1.0,
      .low_latency_share = 0.6374,
      .switch_bytes = Bytes(294912),
      .tree_efficiency = 0.9,
      .source = "fit in experiments/collectives to a DGX-1-class node with V100s; tree_efficiency is our own choice"};
}

[[nodiscard]] inline CollectiveParameters a100_nvswitch_parameters() {
  return {.launch = Seconds(30.24e-6),
          .step = Seconds(2.693e-6),
          .round_overhead = 0.4318,
          .half_bytes = Bytes(57473),
          .exponent = 0.2,
          .low_latency_share = 1.0,
          .switch_bytes = Bytes(950272),
          .tree_efficiency = 0.9,
          .source = "fit in experiments/collectives to an A100-SXM node"};
}

[[nodiscard]] inline CollectiveParameters pcie_parameters() {
  return {.launch = Seconds(24.83e-6),
          .step = Seconds(5.0e-6),
          .round_overhead = 0.0,
          .half_bytes = Bytes(0),
          .exponent = 1.0,
          .low_latency_share = 1.0,
          .switch_bytes = Bytes(0),
          .tree_efficiency = 0.9,
          .source = "own choice: launch as on a V100 node, 5 us a step over PCIe, no protocol of lower latency"};
}

[[nodiscard]] inline CollectiveParameters cpu_parameters() {
  return {.launch = Seconds(2e-6),
          .step = Seconds(2.7e-6),
          .round_overhead = 0.0,
          .half_bytes = Bytes(0),
          .exponent = 1.0,
          .low_latency_share = 1.0,
          .switch_bytes = Bytes(0),
          .tree_efficiency = 0.9,
          .source = "0.15 ms for an all-reduce of 1 MB and 2.7 us a message, measured with OpenMPI on one machine"};
}

}  // namespace gabra::detail
