// SPDX-License-Identifier: MIT
#include "gabra/calibration/fits.hpp"
#include "gabra/core/check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace gabra {
namespace {

constexpr std::array kHalfRows{0.0, 16.0, 64.0, 256.0, 1024.0, 4096.0};
constexpr int kShares = 48;  // from 1 down to 1/1000, each 13 % below the one before

double share(int k) { return std::pow(10.0, -3.0 * k / (kShares - 1)); }

/// Of the time of `layer` with the peaks reached wholly.
double seconds_of(const LayerWork& layer, const DeviceFit& device, const Efficiency& efficiency) {
  const double rate = device.peak.value() * efficiency.flops * layer.rows / (layer.rows + efficiency.half_rows);
  return std::max(layer.flops.value() / rate, layer.bytes / (device.bandwidth.value() * efficiency.bandwidth));
}

/// Sum over the layers, each as long as it takes, of how far off it is: what matters is where the time goes.
double loss_of(std::span<const LayerWork> layers, const DeviceFit& device, const Efficiency& efficiency) {
  double sum = 0.0;
  for (const LayerWork& layer : layers)
    sum += std::abs(std::log(seconds_of(layer, device, efficiency) / layer.seconds.value()));
  return sum;
}

Efficiency fit_class(std::span<const LayerWork> layers, const DeviceFit& device) {
  Efficiency best;
  double least = std::numeric_limits<double>::infinity();
  for (const double half_rows : kHalfRows)
    for (int f = 0; f < kShares; ++f)
      for (int b = 0; b < kShares; ++b) {
        const Efficiency tried{.flops = share(f), .bandwidth = share(b), .half_rows = half_rows};
        if (const double loss = loss_of(layers, device, tried); loss < least) {
          least = loss;
          best = tried;
        }
      }
  return best;
}

bool has_time(const LayerWork& layer) {
  return layer.seconds.value() > 0.0 && (layer.flops.value() > 0.0 || layer.bytes > 0.0);
}

}  // namespace

DeviceFit fit_device(std::span<const LayerWork> layers) {
  DeviceFit device;
  std::array<std::vector<LayerWork>, kComputeClassCount> classes;
  for (const LayerWork& layer : layers) {
    if (!has_time(layer)) continue;
    device.peak = std::max(device.peak, FlopsPerSecond(layer.flops.value() / layer.seconds.value()));
    device.bandwidth = std::max(device.bandwidth, BytesPerSecond(layer.bytes / layer.seconds.value()));
    classes[static_cast<std::size_t>(layer.compute_class)].push_back(layer);
  }
  std::vector<PredictedMeasured> all;
  Efficiency mean{.flops = 0.0, .bandwidth = 0.0, .half_rows = 0.0};
  double known = 0.0;
  for (std::size_t c = 0; c < kComputeClassCount; ++c) {
    if (classes[c].empty()) continue;
    device.efficiency[c] = fit_class(classes[c], device);
    mean.flops += device.efficiency[c].flops;
    mean.bandwidth += device.efficiency[c].bandwidth;
    known += 1.0;
    std::vector<PredictedMeasured> pairs;
    for (const LayerWork& layer : classes[c])
      pairs.push_back({seconds_of(layer, device, device.efficiency[c]), layer.seconds.value()});
    device.by_class[c] = quality_of(pairs);
    all.insert(all.end(), pairs.begin(), pairs.end());
  }
  GABRA_CHECK(known > 0.0, "a device is fitted to layers that took time");
  for (std::size_t c = 0; c < kComputeClassCount; ++c)
    if (classes[c].empty()) device.efficiency[c] = {.flops = mean.flops / known, .bandwidth = mean.bandwidth / known};
  device.quality = quality_of(all);
  return device;
}

}  // namespace gabra
