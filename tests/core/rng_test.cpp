// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <vector>

namespace gabra {
namespace {

TEST(Rng, TheEngineIsMersenneTwister64) {
  // The C++ standard ([rand.predef]) states the 10,000th value of a mt19937_64 with its default seed, 5489.
  Rng rng(5489);
  for (int i = 1; i < 10'000; ++i) static_cast<void>(rng.bits());
  EXPECT_EQ(rng.bits(), 9981545732273789042U);
}

TEST(Rng, MixBitsIsSplitMix64) {
  // First outputs of Vigna's splitmix64.c from state 0 and from state 1234567.
  EXPECT_EQ(mix_bits(0), 0xe220a8397b1dcdafU);
  EXPECT_EQ(mix_bits(0x9e3779b97f4a7c15U), 0x6e789e6aa1b965f4U);
  EXPECT_EQ(mix_bits(1234567), 6457827717110365317U);
}

TEST(Rng, TheSameSeedGivesTheSameNumbers) {
  Rng first(7);
  Rng second(7);
  Rng other(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = first.bits();
    EXPECT_EQ(value, second.bits());
    differs |= value != other.bits();
  }
  EXPECT_TRUE(differs);
}

TEST(Rng, SubstreamsDependOnAllThreeNumbers) {
  std::map<std::uint64_t, int> seen;
  for (std::uint64_t seed = 0; seed < 5; ++seed)
    for (std::uint64_t a = 0; a < 5; ++a)
      for (std::uint64_t b = 0; b < 5; ++b) ++seen[Rng::substream(seed, a, b).bits()];
  EXPECT_EQ(seen.size(), 125U);
  EXPECT_EQ(Rng::substream(1, 2, 3).bits(), Rng::substream(1, 2, 3).bits());
}

TEST(Rng, BelowIsUniform) {
  // 60,000 draws of 6 values: each count has mean 10,000 and standard deviation sqrt(60000 x 1/6 x 5/6) = 91.
  Rng rng(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[rng.below(6)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 5 * 91);
}

TEST(Rng, BelowReachesHugeBounds) {
  // 3 x 2^62 is no divisor of 2^64: a plain remainder would fall into the lowest third half of the time.
  Rng rng(1);
  const std::uint64_t bound = std::uint64_t{3} << 62U;
  int low = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t value = rng.below(bound);
    ASSERT_LT(value, bound);
    low += value < bound / 3 ? 1 : 0;
  }
  EXPECT_NEAR(low, 10'000, 5 * 82);  // sqrt(30000 x 1/3 x 2/3) = 82
}

TEST(Rng, BetweenIncludesBothEndsAndTakesTheWholeRange) {
  Rng rng(1);
  std::map<std::int64_t, int> seen;
  for (int i = 0; i < 1'000; ++i) ++seen[rng.between(-1, 2)];
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen.begin()->first, -1);
  EXPECT_EQ(seen.rbegin()->first, 2);
  EXPECT_EQ(rng.between(5, 5), 5);
  bool is_negative = false;
  for (int i = 0; i < 100; ++i)
    is_negative |= rng.between(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()) < 0;
  EXPECT_TRUE(is_negative);
}

TEST(Rng, UniformHasTheMomentsOfTheUnitInterval) {
  Rng rng(1);
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));            // sigma = 1/sqrt(12)
  EXPECT_NEAR(squares / kDraws, 1.0 / 3.0, 5 * 0.2981 / std::sqrt(kDraws));  // sigma of u^2 = sqrt(4/45)
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(1);
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 5.0 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0, 5.0 * std::sqrt(2.0 / kDraws));
}

TEST(Rng, ShuffleIsAPermutationAndFair) {
  // 3! = 6 orders, 12,000 shuffles: 2,000 each, standard deviation sqrt(12000 x 1/6 x 5/6) = 41.
  Rng rng(1);
  std::map<std::vector<int>, int> orders;
  for (int i = 0; i < 12'000; ++i) {
    std::vector<int> items{0, 1, 2};
    rng.shuffle(std::span(items));
    ++orders[items];
  }
  EXPECT_EQ(orders.size(), 6U);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 2'000, 5 * 41);
}

TEST(RngDeathTest, EmptyRangesAreBugs) {
  Rng rng(1);
  EXPECT_DEATH(static_cast<void>(rng.below(0)), "rng.cpp:.*bound > 0 does not hold");
  EXPECT_DEATH(static_cast<void>(rng.between(2, 1)), "an empty range");
}

}  // namespace
}  // namespace gabra
