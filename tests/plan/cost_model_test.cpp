// SPDX-License-Identifier: MIT
#include "gabra/plan/cost_model.hpp"

#include "gabra/network/zoo.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gabra {
namespace {

/// One device: 1 TFLOP/s, 1 TB/s, every share as given.
std::shared_ptr<const Cluster> one_device(const DeviceKind& changed) {
  DeviceKind kind = changed;
  kind.name = "toy";
  kind.peak_float32 = kind.peak_bfloat16 = FlopsPerSecond(1e12);
  kind.memory = Bytes(std::int64_t{1} << 36);
  kind.memory_bandwidth = BytesPerSecond(1e12);
  Cluster::Description description;
  description.name = "toy";
  description.kinds = {kind};
  description.devices = {{"d0", DeviceKindId(0), 0}};
  return std::make_shared<const Cluster>(Cluster::build(std::move(description), "toy"));
}

CostModel model_of(const std::string& network, const DeviceKind& kind) {
  Problem problem;
  problem.network = std::make_shared<const Network>(load_network(network));
  problem.cluster = one_device(kind);
  problem.training.global_batch = 1;
  return CostModel(problem);
}

double forward_of(const std::string& network, const DeviceKind& kind, std::int32_t first, std::int32_t end) {
  return model_of(network, kind).span(first, end, DeviceKindId(0), 1).forward.value();
}

const std::string kGpt = "gpt:layers=2,hidden=64,heads=4,sequence=32,vocabulary=1000";

DeviceKind slow_host() {
  DeviceKind kind;
  kind.launch = Seconds(1.0);  // every layer takes far less: launches alone count
  return kind;
}

TEST(CostModel, LaunchesOverAPassHideBehindALongLayer) {
  // Of the head, layer norm is one kernel and the projection one: 2 s. The projection computes 2 x 32 x 64 x 1000 =
  // 4.096e6 operations at 1e-6 of the peak: 4.096 s. Over the pass: (2^7 + 4.096^7)^(1/7), and a little for the norm.
  DeviceKind kind = slow_host();
  kind.efficiency[static_cast<std::size_t>(ComputeClass::Embedding)].flops = 1e-6;
  const double pass = std::pow(std::pow(2.0, 7) + std::pow(4.096, 7), 1.0 / 7.0);
  EXPECT_NEAR(forward_of(kGpt, kind, 5, 6), pass, 1e-6);
  // Layer by layer: 1 s for the norm, then (1^7 + 4.096^7)^(1/7) for the projection.
  kind.launch_ahead = LaunchAhead::Layer;
  EXPECT_NEAR(forward_of(kGpt, kind, 5, 6), 1.0 + std::pow(1.0 + std::pow(4.096, 7), 1.0 / 7.0), 1e-6);
}

TEST(CostModel, LayerByLayerSpansAddUp) {
  DeviceKind kind = slow_host();
  kind.launch = Seconds(1e-8);
  kind.launch_ahead = LaunchAhead::Layer;
  CostModel model = model_of(kGpt, kind);
  const auto span = [&](std::int32_t first, std::int32_t end) { return model.span(first, end, DeviceKindId(0), 1); };
  double forward = 0.0;
  double backward = 0.0;
  for (std::int32_t unit = 0; unit < 6; ++unit) {
    forward += span(unit, unit + 1).forward.value();
    backward += span(unit, unit + 1).backward.value();
  }
  EXPECT_NEAR(span(0, 6).forward.value(), forward, 1e-12 * forward);
  EXPECT_NEAR(span(0, 6).backward.value(), backward, 1e-12 * backward);
}

TEST(CostModel, AttentionIsProductsPlusSoftmax) {
  // Without launch times, halving the rate of products adds the time of the products of the attention (and of nothing
  // else in its unit), and halving the bandwidth of normalization that of softmax, although products take longer.
  // Operations: 8 T F^2 + 4 T^2 F + 4 T F + 7 h T^2 with T = 32, F = 64, h = 4; at 1e-3 of the peak.
  DeviceKind kind;
  const auto products = static_cast<std::size_t>(ComputeClass::MatrixProduct);
  const auto softmax = static_cast<std::size_t>(ComputeClass::Normalization);
  kind.efficiency[products].flops = 1e-3;
  const double before = forward_of(kGpt, kind, 1, 2);
  kind.efficiency[products].flops = 0.5e-3;
  const double operations = 8.0 * 32 * 64 * 64 + 4.0 * 32 * 32 * 64 + 4.0 * 32 * 64 + 7.0 * 4 * 32 * 32;
  EXPECT_NEAR(forward_of(kGpt, kind, 1, 2) - before, operations / 1e9, 1e-12);
  // Moved: 10 T F + 8 h T^2 elements by the attention and 2 T F by the layer norm, whose 2 F weights are read; 4 bytes.
  kind.efficiency[products].flops = 1e-3;
  kind.efficiency[softmax].bandwidth = 0.5;
  const double bytes = 4.0 * (10.0 * 32 * 64 + 8.0 * 4 * 32 * 32 + 2.0 * 32 * 64 + 2.0 * 64);
  EXPECT_NEAR(forward_of(kGpt, kind, 1, 2) - before, bytes / 1e12, 1e-15);
}

TEST(CostModel, ProjectionOntoAVocabularyHasARateOfItsOwn) {
  const auto compute_class = [](const std::string& network) {
    return load_network(network).layers().back().costs.compute_class;
  };
  EXPECT_EQ(compute_class(kGpt), ComputeClass::Embedding);
  EXPECT_EQ(compute_class("gpt:layers=1,hidden=64,heads=4,sequence=32,vocabulary=512"), ComputeClass::Embedding);
  EXPECT_EQ(compute_class("gpt:layers=1,hidden=64,heads=4,sequence=32,vocabulary=511"), ComputeClass::MatrixProduct);
  EXPECT_EQ(compute_class("vgg-16:classes=100000"), ComputeClass::MatrixProduct);  // no tokens
}

}  // namespace
}  // namespace gabra
