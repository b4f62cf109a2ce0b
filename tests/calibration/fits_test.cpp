// SPDX-License-Identifier: MIT
#include "gabra/calibration/fits.hpp"

#include "gabra/core/rng.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gabra {
namespace {

TEST(LinkFit, FindsLatencyAndBandwidth) {
  std::vector<TransferSample> samples;
  for (std::int64_t bytes = 1024; bytes <= (std::int64_t{16} << 20); bytes *= 4)
    samples.push_back({Bytes(bytes), Seconds(3e-6 + static_cast<double>(bytes) / 5e9)});
  const LinkFit fit = fit_link(samples);
  EXPECT_NEAR(fit.latency.value(), 3e-6, 1e-12);
  EXPECT_NEAR(fit.bandwidth.value(), 5e9, 1.0);
  EXPECT_LT(fit.quality.p95_error, 1e-9);
}

TEST(LinkFit, NeverGoesBelowZero) {
  // Larger messages that are faster than the line through the small ones: a latency below zero would fit best.
  const std::vector<TransferSample> samples{{Bytes(1000), Seconds(1e-6)}, {Bytes(2000), Seconds(3e-6)}};
  const LinkFit fit = fit_link(samples);
  EXPECT_GE(fit.latency.value(), 0.0);
  EXPECT_GT(fit.bandwidth.value(), 0.0);
  EXPECT_GT(fit.quality.median_error, 0.05);
}

std::vector<AllReduceSample> all_reduces(const CollectiveFit& truth, double noise) {
  Rng rng(7);
  std::vector<AllReduceSample> samples;
  for (const int devices : {2, 4, 8})
    for (std::int64_t bytes = 4096; bytes <= (std::int64_t{256} << 20); bytes *= 2) {
      AllReduceSample sample{
          .devices = devices, .bytes = Bytes(bytes), .seconds = {}, .rings = BytesPerSecond(1e10), .channels = 1};
      sample.seconds = predict(truth, sample) * (1.0 + noise * (2.0 * rng.uniform() - 1.0));
      samples.push_back(sample);
    }
  return samples;
}

TEST(CollectiveFit, FindsWhatTheTimesWereMadeWith) {
  CollectiveFit truth;
  truth.parameters.launch = Seconds(20e-6);
  truth.parameters.step = Seconds(3e-6);
  truth.parameters.round_overhead = 0.4;
  truth.parameters.half_bytes = Bytes(65536);
  truth.parameters.exponent = 1.0;
  const CollectiveFit fit = fit_collective(all_reduces(truth, 0.0), true);
  EXPECT_NEAR(fit.parameters.launch.value(), 20e-6, 1e-9);
  EXPECT_NEAR(fit.parameters.step.value(), 3e-6, 1e-9);
  EXPECT_NEAR(fit.parameters.round_overhead, 0.4, 1e-6);
  EXPECT_EQ(fit.parameters.half_bytes, Bytes(65536));
  EXPECT_LT(fit.quality.p95_error, 1e-6);
}

TEST(CollectiveFit, ScalesLinksWhereItMay) {
  CollectiveFit truth;
  truth.parameters.launch = Seconds(10e-6);
  truth.parameters.round_overhead = 0.2;
  truth.bandwidth_factor = 0.8;
  const CollectiveFit fit = fit_collective(all_reduces(truth, 0.02), false);
  EXPECT_NEAR(fit.bandwidth_factor, 0.8, 0.05);
  EXPECT_LT(fit.quality.median_error, 0.02);
}

TEST(DeviceFit, FindsSharesOfThePeaks) {
  // Convolutions reach the peak, products half of it; what moves memory only reaches the whole or a quarter.
  std::vector<LayerWork> layers;
  for (const double size : {1.0, 3.0, 10.0}) {
    layers.push_back({ComputeClass::Convolution, Flops(1e9 * size), 0.0, 1.0, Seconds(1e-2 * size)});
    layers.push_back({ComputeClass::MatrixProduct, Flops(1e9 * size), 0.0, 1.0, Seconds(2e-2 * size)});
    layers.push_back({ComputeClass::Elementwise, Flops(0.0), 1e8 * size, 1.0, Seconds(1e-2 * size)});
    layers.push_back({ComputeClass::Normalization, Flops(0.0), 1e8 * size, 1.0, Seconds(4e-2 * size)});
  }
  const DeviceFit fit = fit_device(layers);
  EXPECT_DOUBLE_EQ(fit.peak.value(), 1e11);
  EXPECT_DOUBLE_EQ(fit.bandwidth.value(), 1e10);
  // The grid's steps are 13 %.
  EXPECT_NEAR(fit.efficiency[static_cast<std::size_t>(ComputeClass::Convolution)].flops, 1.0, 0.07);
  EXPECT_NEAR(fit.efficiency[static_cast<std::size_t>(ComputeClass::MatrixProduct)].flops, 0.5, 0.035);
  EXPECT_NEAR(fit.efficiency[static_cast<std::size_t>(ComputeClass::Normalization)].bandwidth, 0.25, 0.02);
  EXPECT_LT(fit.quality.p95_error, 0.08);
}

}  // namespace
}  // namespace gabra
