// SPDX-License-Identifier: MIT
#include "cpu_kernels.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace gabra::exec {
namespace {

struct PoolCase {
  std::array<std::int64_t, 3> input, kernel, stride, padding;
};

template <class T>
void expect_same(const at::Tensor& x, const PoolCase& pool) {
  const auto [expected, indices] =
      at::max_pool3d_with_indices(x, pool.kernel, pool.stride, pool.padding, {1, 1, 1}, false);
  const cpu::PoolGeometry geometry{
      pool.input, {expected.size(2), expected.size(3), expected.size(4)}, pool.kernel, pool.stride, pool.padding};
  const at::Tensor y = at::empty_like(expected), positions = at::empty(expected.sizes(), at::kInt);
  cpu::PoolScratch<T> scratch;
  cpu::max_pool_plane(x.const_data_ptr<T>(), y.mutable_data_ptr<T>(), positions.mutable_data_ptr<std::int32_t>(),
                      geometry, scratch);
  EXPECT_TRUE(at::isclose(y, expected, 0.0, 0.0, /*equal_nan=*/true).all().item<bool>());
  EXPECT_TRUE(positions.to(at::kLong).equal(indices));
}

/// Few distinct values make ties everywhere; then NaNs and infinities.
TEST(MaxPoolKernel, PicksWhatLibTorchPicks) {
  at::manual_seed(5);
  const PoolCase cases[] = {{{5, 6, 7}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}},
                            {{4, 4, 33}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}},
                            {{1, 9, 40}, {1, 3, 2}, {1, 1, 1}, {0, 1, 1}},
                            {{3, 3, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}},
                            {{6, 5, 64}, {3, 2, 4}, {3, 1, 3}, {1, 1, 2}}};
  for (const PoolCase& pool : cases)
    for (int round = 0; round < 4; ++round) {
      const std::vector<std::int64_t> sizes{1, 1, pool.input[0], pool.input[1], pool.input[2]};
      at::Tensor x = at::randint(-2, 3, sizes, at::kFloat);
      if (round > 1) x.masked_fill_(at::rand(sizes).lt(0.15), std::numeric_limits<double>::quiet_NaN());
      if (round > 2) x.masked_fill_(at::rand(sizes).lt(0.6), -std::numeric_limits<double>::infinity());
      expect_same<float>(x, pool);
      expect_same<double>(x.to(at::kDouble), pool);
    }
}

}  // namespace
}  // namespace gabra::exec
