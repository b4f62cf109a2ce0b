// SPDX-License-Identifier: MIT
// What a GPU computes by LibTorch's fused operations, on the CPU, where they exist too: the loops' results.
#include "optimizer_step.hpp"
#include "support/random_batch.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gabra::exec {
namespace {

struct OptimizerCase {
  Optimizer optimizer;
  c10::ScalarType dtype;
  double tolerance;  ///< a few roundings of the arithmetic's type
};

/// Weights of several lengths, one of which is more than is widened at a time on the CPU.
std::vector<FlatStep> make_steps(c10::ScalarType dtype) {
  std::vector<FlatStep> steps;
  const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  for (const std::int64_t count : {std::int64_t{3}, std::int64_t{1000}, (std::int64_t{1} << 20) + 17}) {
    const at::Tensor values = at::linspace(-1.0, 1.0, count, wide);
    FlatStep step{values.to(dtype, false, true), {}, at::zeros({count}, wide), at::zeros({count}, wide), {}};
    if (dtype == at::kBFloat16) step.master = values.clone();
    steps.push_back(std::move(step));
  }
  return steps;
}

void check_steps(const OptimizerCase& one) {
  SCOPED_TRACE(std::string(c10::toString(one.dtype)) + (one.optimizer == Optimizer::AdamW ? " AdamW" : " SGD"));
  std::vector<FlatStep> loops = make_steps(one.dtype), fused = make_steps(one.dtype);
  UpdateOptions options{.learning_rate = 0.1, .momentum = 0.8, .weight_decay = 0.01};
  for (options.step = 1; options.step <= 3; ++options.step) {
    for (std::size_t i = 0; i < loops.size(); ++i) {
      const at::Tensor gradient = at::cos(at::arange(loops[i].weights.numel(), at::kDouble).add_(options.step));
      loops[i].gradients = gradient.to(one.dtype);
      fused[i].gradients = gradient.to(one.dtype);
      step_on_cpu(one.optimizer, options, loops[i]);
    }
    step_by_libtorch(one.optimizer, options, fused);
  }
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const auto& [weights, gradients, first, second, master] = fused[i];
    const at::Tensor& kept = master.defined() ? master : weights;
    EXPECT_LT(relative_difference(kept, master.defined() ? loops[i].master : loops[i].weights), one.tolerance);
    EXPECT_LT(relative_difference(first, loops[i].first), one.tolerance);
    EXPECT_LT(relative_difference(second, loops[i].second), one.tolerance);
    EXPECT_TRUE(kept.to(one.dtype).equal(weights));
    EXPECT_GT(relative_difference(kept, make_steps(one.dtype)[i].weights), 0.1);  // they moved
  }
}

TEST(OptimizerStep, IsTheSameByFusedOperationsAndByTheLoop) {
  for (const Optimizer optimizer : {Optimizer::SgdMomentum, Optimizer::AdamW}) {
    check_steps({optimizer, at::kDouble, 1e-14});
    check_steps({optimizer, at::kFloat, 1e-6});
    check_steps({optimizer, at::kBFloat16, 1e-6});
  }
}

// 1^2 + ... + 4^2 = 30, and 2^20 + 5 ones of 3^2.
TEST(OptimizerStep, SquaredNormCountsAllTensors) {
  constexpr std::int64_t kMany = (std::int64_t{1} << 20) + 5;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const std::vector<at::Tensor> tensors{at::arange(1, 5, at::TensorOptions(dtype)), at::empty({0}, dtype),
                                          at::full({kMany}, 3.0, dtype)};
    const double expected = 30.0 + 9.0 * static_cast<double>(kMany);
    for (const at::Tensor& found : {squared_norm_on_cpu(tensors), squared_norm_by_libtorch(tensors)}) {
      EXPECT_EQ(found.scalar_type(), at::kDouble);
      EXPECT_NEAR(found.item<double>(), expected, 1e-12 * expected);
    }
    const std::vector<at::Tensor> nothing{at::empty({0}, dtype)};
    EXPECT_EQ(squared_norm_on_cpu(nothing).item<double>(), 0.0);
    EXPECT_EQ(squared_norm_by_libtorch(nothing).item<double>(), 0.0);
  }
}

}  // namespace
}  // namespace gabra::exec
