// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <utility>

namespace gabra::detail {

/// Bus bandwidth over size / time, as the makers of NCCL define it: how many times its size each rank sends. What
/// printed numbers say of it is known up to their rounding.
struct BusFactor {
  double value = 0.0;
  double rounding = 0.0;
  [[nodiscard]] bool is(double factor) const;
};

/// Of an all-reduce over rings, 2(n-1)/n.
[[nodiscard]] double ring_factor(int ranks);

/// The fewest and the most ranks between which all-reduces have this factor; nothing where none has.
[[nodiscard]] std::optional<std::pair<int, int>> ranks_of(const BusFactor& factor);

}  // namespace gabra::detail
