// SPDX-License-Identifier: MIT
#include "bus_bandwidth.hpp"

#include <cmath>

namespace gabra::detail {

namespace {
constexpr int kMostRanks = 65536;
}  // namespace

bool BusFactor::is(double factor) const { return std::abs(value - factor) <= rounding; }

double ring_factor(int ranks) { return 2.0 * (ranks - 1.0) / ranks; }

std::optional<std::pair<int, int>> ranks_of(const BusFactor& factor) {
  std::optional<std::pair<int, int>> range;
  for (int ranks = 2; ranks <= kMostRanks; ++ranks)
    if (factor.is(ring_factor(ranks))) range = {range ? range->first : ranks, ranks};
  return range;
}

}  // namespace gabra::detail
