// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/compute_class.hpp"
#include "gabra/core/units.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace gabra {

/// How close a device comes to its peaks for one class of arithmetic.
struct Efficiency {
  double flops = 1.0;      ///< reached share of the peak arithmetic rate with many rows
  double bandwidth = 1.0;  ///< reached share of the memory bandwidth
  double half_rows = 0.0;  ///< rows at which half of `flops` is reached: share = flops x rows / (rows + half_rows)
};

/// How far the host launches ahead of the device, so that the longer of the two decides.
enum class LaunchAhead : std::uint8_t {
  Pass,   ///< over the whole forward or backward of a stage
  Layer,  ///< within a layer: the runtime waits between layers, or does as much host work in each
};

/// What the ranks computed with that measured a kind of device: as --device and --threads-per-rank say it.
struct MeasuredOn {
  enum class Hardware : std::uint8_t { Cpu, Cuda };
  Hardware hardware = Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
  bool operator==(const MeasuredOn&) const = default;
};
/// "cpu, 2 threads a rank".
[[nodiscard]] std::string to_text(const MeasuredOn& measured_on);

/// A kind of device. Everything here is stated in the cluster's file with its source or fit.
struct DeviceKind {
  std::string name;
  FlopsPerSecond peak_float32{1.0};
  FlopsPerSecond peak_bfloat16{1.0};
  Bytes memory;       ///< usable by a program
  Bytes base_memory;  ///< taken by the framework and its libraries before any tensor
  BytesPerSecond memory_bandwidth{1.0};
  Seconds launch;  ///< host time to launch one kernel
  LaunchAhead launch_ahead = LaunchAhead::Pass;
  Watts idle_power;
  Watts busy_power;
  double communication_slowdown = 1.0;  ///< compute takes this many times as long while communication runs; >= 1
  /// The same while messages, but no collectives, are received or only sent; communication_slowdown where not stated. A
  /// CPU rank copies what it receives with the core that computes, and sends for nothing.
  std::optional<double> receive_slowdown{}, send_slowdown{};
  /// Compute takes this many times as long while all other devices of the machine compute too (they share its memory),
  /// and a share of it while some do; >= 1.
  double neighbour_slowdown = 1.0;
  Seconds instruction_overhead{0.0};  ///< of every instruction that computes, beside its work
  Seconds step_overhead{0.0};         ///< of a step, beside its instructions
  /// Its library copies float32 convolutions' operands, and computes gradients of bfloat16 weights in float32 (oneDNN
  /// and gabra, on CPUs).
  bool copies_layout = false;
  BytesPerSecond update_bandwidth{0.0};  ///< at which an update moves parameters; 0: by the roofline
  std::array<Efficiency, kComputeClassCount> efficiency{};
  bool is_calibrated = false;  ///< whether the figures were fitted on such a device, not taken from data sheets
  std::optional<MeasuredOn> measured_on{};  ///< none: not fitted on ranks of gabra
  std::string source;                       ///< where the figures come from
};

/// Seconds of `flops` operations and `bytes` of memory traffic in one class of arithmetic, `rows` independent rows:
/// the roofline max(flops / reached rate, bytes / reached bandwidth). Launch times are joined over a span of layers by
/// soft_maximum(), not here.
[[nodiscard]] Seconds roofline(const DeviceKind& kind, Precision precision, ComputeClass compute_class, Flops flops,
                               double bytes, double rows);

/// (launch^7 + roofline^7)^(1/7): a device runs behind a host that launches ahead, so the longer of the two decides.
/// The exponent was fitted on the GPT runs of vTrain (see README of this room).
[[nodiscard]] Seconds soft_maximum(Seconds launch, Seconds roofline);

}  // namespace gabra
