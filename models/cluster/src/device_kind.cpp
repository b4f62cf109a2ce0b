// SPDX-License-Identifier: MIT
#include "gabra/cluster/device_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {

std::string to_text(const MeasuredOn& measured_on) {
  return fmt::format("{}, {} {} a rank", measured_on.hardware == MeasuredOn::Hardware::Cuda ? "cuda" : "cpu",
                     measured_on.threads_per_rank, measured_on.threads_per_rank == 1 ? "thread" : "threads");
}

Seconds roofline(const DeviceKind& kind, Precision precision, ComputeClass compute_class, Flops flops, double bytes,
                 double rows) {
  const Efficiency& reached = kind.efficiency[static_cast<std::size_t>(compute_class)];
  const FlopsPerSecond peak = precision == Precision::Float32 ? kind.peak_float32 : kind.peak_bfloat16;
  const double share = reached.flops * (reached.half_rows > 0.0 ? rows / (rows + reached.half_rows) : 1.0);
  const double arithmetic = flops.value() > 0.0 ? flops.value() / (peak.value() * share) : 0.0;
  const double memory = bytes / (kind.memory_bandwidth.value() * reached.bandwidth);
  return Seconds(std::max(arithmetic, memory));
}

Seconds soft_maximum(Seconds launch, Seconds roofline) {
  const double high = std::max(launch.value(), roofline.value());
  const double low = std::min(launch.value(), roofline.value());
  if (low <= 0.0) return Seconds(high);
  const double ratio = low / high;
  const double square = ratio * ratio;
  return Seconds(high * std::pow(1.0 + square * square * square * ratio, 1.0 / 7.0));
}

}  // namespace gabra
