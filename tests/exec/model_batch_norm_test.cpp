// SPDX-License-Identifier: MIT
#include "cpu_kernels.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gabra::exec {
namespace {

/// Rounding at zero decides what ReLU and max pooling pass on: equal bits keep training equal to PyTorch's to 1e-5.
TEST(BatchNormKernel, HasTheBitsOfLibTorch) {
  at::manual_seed(3);
  constexpr std::int64_t kChannels = 16;
  for (const std::int64_t positions : {8, 27, 64, 512, 4097}) {
    const at::Tensor x = at::randn({2, kChannels, positions}) * 3 + 1;
    const at::Tensor weight = at::rand({kChannels}), bias = at::randn({kChannels});
    const auto [expected, mean, inverse] =
        at::native_batch_norm(x, weight, bias, at::zeros({kChannels}), at::ones({kChannels}), true, 0.1, 1e-5);
    const at::Tensor y = at::empty_like(x);
    const cpu::ChannelRuns runs{2, positions, kChannels * positions};
    for (std::int64_t c = 0; c < kChannels; ++c) {
      const std::int64_t at = c * positions;
      const cpu::Moments moments = cpu::channel_moments(x.const_data_ptr<float>() + at, runs);
      const auto deviation = cpu::inverse_deviation<float>(moments, runs, 1e-5);
      EXPECT_EQ(static_cast<float>(moments.mean), mean[c].item<float>());
      EXPECT_EQ(deviation, inverse[c].item<float>());
      cpu::channel_normalise(
          x.const_data_ptr<float>() + at, y.mutable_data_ptr<float>() + at, runs,
          cpu::normalisation<float>(moments.mean, deviation, weight[c].item<float>(), bias[c].item<float>()), {});
    }
    const auto different = y.ne(expected).sum().item<std::int64_t>();
    EXPECT_LE(different, y.numel() / 100) << positions;
  }
}

}  // namespace
}  // namespace gabra::exec
