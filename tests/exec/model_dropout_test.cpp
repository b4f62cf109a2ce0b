// SPDX-License-Identifier: MIT
#include "dropout_mask.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace gabra::exec {
namespace {

TEST(DropoutMask, IsTheSameByOperationsAndByTheLoop) {
  for (const double probability : {0.1, 0.5, 0.97}) {
    const DropoutKey key{.seed = 77, .layer = "head", .step = 3, .first_sample = 5, .probability = probability};
    for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{3, 1000}, {1, 2, 3, 4, 5}, {4, 1}})
      EXPECT_TRUE(dropout_mask(key, sizes, at::kCPU).equal(dropout_mask_by_operations(key, sizes, at::kCPU)));
  }
}

TEST(DropoutMask, DependsOnTheSampleNotOnItsMicroBatch) {
  const DropoutKey all{.seed = 1, .layer = "a", .step = 2, .first_sample = 0, .probability = 0.4};
  DropoutKey second = all;
  second.first_sample = 2;
  const at::Tensor whole = dropout_mask(all, {4, 50}, at::kCPU), part = dropout_mask(second, {2, 50}, at::kCPU);
  EXPECT_TRUE(whole.narrow(0, 2, 2).equal(part));
}

// 200,000 draws at p = 0.3: the kept share has a standard deviation of 0.001.
TEST(DropoutMask, KeepsTheRightShareAndEveryKeyDrawsItsOwn) {
  const DropoutKey key{.seed = 1, .layer = "a", .step = 2, .first_sample = 0, .probability = 0.3};
  const at::Tensor mask = dropout_mask(key, {2, 100'000}, at::kCPU);
  EXPECT_NEAR(mask.to(at::kDouble).mean().item<double>(), 0.7, 0.005);
  DropoutKey step = key, layer = key, seed = key;
  step.step = 3;
  layer.layer = "b";
  seed.seed = 2;
  // Independent masks agree in 0.7^2 + 0.3^2 = 0.58 of their elements.
  for (const DropoutKey& other : {step, layer, seed}) {
    const at::Tensor same = dropout_mask(other, {2, 100'000}, at::kCPU).eq(mask);
    EXPECT_NEAR(same.to(at::kDouble).mean().item<double>(), 0.58, 0.01);
  }
  EXPECT_NEAR(mask[0].eq(mask[1]).to(at::kDouble).mean().item<double>(), 0.58, 0.01);
}

}  // namespace
}  // namespace gabra::exec
