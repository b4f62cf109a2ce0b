// SPDX-License-Identifier: MIT
#include "partition.hpp"

#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gabra::test {
namespace {

using ga::DeviceLists;
using ga::StageEstimator;

std::vector<ToyLayer> layers_with_seconds(const std::vector<double>& seconds) {
  std::vector<ToyLayer> layers;
  for (const double total : seconds) {
    ToyLayer layer;
    layer.forward_s = total / 3;
    layer.backward_s = total * 2 / 3;
    layers.push_back(layer);
  }
  return layers;
}

TEST(Partition, EvenEndsGiveTheFirstStagesMore) {
  EXPECT_EQ(ga::even_ends(10, 4), (std::vector<std::int32_t>{3, 6, 8, 10}));
  EXPECT_EQ(ga::even_ends(3, 3), (std::vector<std::int32_t>{1, 2, 3}));
}

TEST(Partition, BalancedEndsMinimiseTheLongestStage) {
  // 31 s on 3 stages are at least 10.3 s each: 9 1 1 | 1 3 3 3 | 6 4 takes 11 s, and nothing is between, as the first
  // stage is 10 or less (then 9 1 | 1 1 3 3 3 | 6 4, where the second takes 11) or 11. Beside it all 28 cuts are tried.
  const std::vector<double> seconds{9, 1, 1, 1, 3, 3, 3, 6, 4};
  const Problem problem = toy_problem(layers_with_seconds(seconds), {.devices = 3}, 1);
  CostModel costs(problem);
  StageEstimator estimator(costs);
  const auto ends = ga::balanced_ends(estimator, {{DeviceId(0)}, {DeviceId(1)}, {DeviceId(2)}}, 1);
  const auto longest = [&](std::int32_t a, std::int32_t b) {
    return std::max({estimator.span(0, a, DeviceKindId(0), 1), estimator.span(a, b, DeviceKindId(0), 1),
                     estimator.span(b, 9, DeviceKindId(0), 1)});
  };
  double best = 1e9;
  for (std::int32_t a = 1; a < 8; ++a) {
    for (std::int32_t b = a + 1; b < 9; ++b) best = std::min(best, longest(a, b));
  }
  EXPECT_DOUBLE_EQ(longest(ends[0], ends[1]), best);
  EXPECT_NEAR(best, 11.0, 1e-6);
}

TEST(Partition, PipeDreamReplicatesTheLongStage) {
  // Units of 6, 1 and 1 s on 4 devices: the first on 3 replicas takes 2 s per micro-batch, as long as the other two
  // together on one device; nothing is shorter, since 8 s on 4 devices are at least 2 s.
  const Problem problem = toy_problem(layers_with_seconds({6, 1, 1}), {.devices = 4}, 4);
  CostModel costs(problem);
  StageEstimator estimator(costs);
  const ga::DeviceOrder order{DeviceId(0), DeviceId(1), DeviceId(2), DeviceId(3)};
  const auto stages = ga::pipedream_stages(estimator, order, 4);
  double longest = 0.0;
  std::size_t used = 0;
  for (const Stage& stage : stages) {
    longest = std::max(longest, estimator.stage(stage.first_unit, stage.end_unit, stage.devices, 4));
    used += stage.devices.size();
  }
  EXPECT_EQ(used, 4U);
  EXPECT_NEAR(longest, 2.0, 1e-6);
}

TEST(Partition, AHugeLastLayerIsNotReplicated) {
  // 4 GB of gradients behind 1 GB/s links: a ring of 4 devices takes 2 x 3/4 x 4 s = 6 s, over 4 micro-batches 1.5 s
  // each. One stage on all devices: 9.2/4 + 1.5 = 3.8 s; the first three units on 3 devices and the last alone: 3 s.
  std::vector<ToyLayer> layers = layers_with_seconds({3, 3, 3, 0.2});
  layers[3].parameter_bytes = 4'000'000'000;
  const Problem problem = toy_problem(layers, {.devices = 4}, 4);
  CostModel costs(problem);
  StageEstimator estimator(costs);
  const ga::DeviceOrder order{DeviceId(0), DeviceId(1), DeviceId(2), DeviceId(3)};
  EXPECT_EQ(ga::pipedream_stages(estimator, order, 4).back().devices.size(), 1U);
}

TEST(Partition, CrossingBytesCountEveryTensorOverTheCut) {
  // l0 -> l1 -> l2 with a skip l0 -> l2: over the cut before l2 go the outputs of l1 (10 B) and of l0 (100 B), there
  // and back.
  std::vector<ToyLayer> layers = equal_layers(3);
  layers[0].output_bytes = 100;
  layers[1].output_bytes = 10;
  layers[2].output_bytes = 1;
  layers[2].inputs = {0, 1};
  const Problem problem = toy_problem(layers, {.devices = 2}, 1);
  CostModel costs(problem);
  const StageEstimator estimator(costs);
  EXPECT_NEAR(estimator.crossing_bytes(1), 2 * 100, 8);  // in elements of 4 bytes
  EXPECT_NEAR(estimator.crossing_bytes(2), 2 * 110, 16);
  EXPECT_EQ(estimator.crossing_bytes(3), 0.0);
}

}  // namespace
}  // namespace gabra::test
