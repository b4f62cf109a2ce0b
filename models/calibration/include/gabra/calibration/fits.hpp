// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/statistics.hpp"
#include "gabra/cluster/cluster.hpp"
#include "gabra/core/compute_class.hpp"
#include "gabra/core/units.hpp"

#include <array>
#include <span>

namespace gabra {

// All fits minimise squares of relative errors, so that small and large sizes count alike. Pure functions.

/// One message between two devices.
struct TransferSample {
  Bytes bytes;
  Seconds seconds;
};
/// seconds = latency + bytes / bandwidth.
struct LinkFit {
  Seconds latency;
  BytesPerSecond bandwidth{1.0};
  FitQuality quality;
};
/// At least one sample of more than zero bytes and seconds.
[[nodiscard]] LinkFit fit_link(std::span<const TransferSample> samples);

/// One all-reduce over a group of devices.
struct AllReduceSample {
  int devices = 2;
  Bytes bytes;
  Seconds seconds;
  BytesPerSecond rings{1.0};  ///< bandwidth of the group's rings together, as the cluster's links say now
  int channels = 1;           ///< how many rings
};
struct CollectiveFit {
  CollectiveParameters parameters;
  /// What the links' bandwidth must be multiplied by; 1 where it was to stay.
  double bandwidth_factor = 1.0;
  FitQuality quality;
};
/// The model of CollectiveParameters, by least squares with no coefficient below zero over a grid of its exponents and
/// sizes. With samples of one group size, `step` stays 0 (the launch has it).
[[nodiscard]] CollectiveFit fit_collective(std::span<const AllReduceSample> samples, bool keeps_bandwidth);
/// The model's time.
[[nodiscard]] Seconds predict(const CollectiveFit& fit, const AllReduceSample& sample);

/// One pass of one layer, measured.
struct LayerWork {
  ComputeClass compute_class = ComputeClass::Elementwise;
  Flops flops;
  double bytes = 0.0;  ///< of memory traffic
  double rows = 1.0;
  Seconds seconds;
};
/// Peaks are the highest rates seen; efficiencies the shares of them that describe each class best.
struct DeviceFit {
  FlopsPerSecond peak{1.0};
  BytesPerSecond bandwidth{1.0};
  std::array<Efficiency, kComputeClassCount> efficiency{};
  std::array<FitQuality, kComputeClassCount> by_class{};
  FitQuality quality;
};
/// At least one layer with time and work. A class without layers gets the mean efficiency of the others.
[[nodiscard]] DeviceFit fit_device(std::span<const LayerWork> layers);

}  // namespace gabra
