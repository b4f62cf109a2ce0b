// SPDX-License-Identifier: MIT
#include "gabra/calibration/statistics.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

TEST(Statistics, Quantiles) {
  EXPECT_EQ(median({}), 0.0);
  EXPECT_EQ(median({3.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 2.0, 3.0}), 2.5);
  // Places 0, 1, 2, 3, 4; 0.95 of 4 is 3.8: between 40 and 50.
  EXPECT_DOUBLE_EQ(quantile({10, 20, 30, 40, 50}, 0.95), 48.0);
}

TEST(Statistics, MiddleMeanLeavesOutBothEnds) {
  // 1 to 19 and an interruption: the 5 % and 95 % quantiles of 20 values lie between the first two and the last two.
  std::vector<double> values;
  for (int i = 1; i <= 19; ++i) values.push_back(i);
  values.push_back(1000.0);
  EXPECT_DOUBLE_EQ(middle_mean(values), (2.0 + 19.0) / 2.0);
  EXPECT_EQ(middle_mean({}), 0.0);
  EXPECT_EQ(middle_mean({3.0}), 3.0);
}

TEST(Statistics, UncertaintyOfTheMedian) {
  EXPECT_EQ(median_uncertainty({1, 1, 1, 1, 1}), 1.0);  // five are too few
  std::vector<double> values;
  for (int i = 0; i < 100; ++i) values.push_back(100.0 + i);
  // 50 -+ 9.8 in order: the 41st to the 61st value (counted from 1), 140 to 160 around 149.5.
  EXPECT_NEAR(median_uncertainty(values), 10.0 / 149.5, 1e-12);
  // One outlier in a hundred changes nothing.
  values.back() = 1e9;
  EXPECT_NEAR(median_uncertainty(values), 10.0 / 149.5, 1e-12);
}

TEST(Statistics, AFitIsPoorByItsMedianOrByItsTail) {
  EXPECT_FALSE(is_poor({.samples = 9, .median_error = 0.1, .p95_error = 0.3}, 0.1));
  EXPECT_TRUE(is_poor({.samples = 9, .median_error = 0.11, .p95_error = 0.3}, 0.1));
  EXPECT_TRUE(is_poor({.samples = 9, .median_error = 0.01, .p95_error = 0.31}, 0.1));
}

TEST(Statistics, QualityIsOfRelativeErrors) {
  const std::vector<PredictedMeasured> pairs{{1.1, 1.0}, {1.8, 2.0}, {10.0, 10.0}, {7.0, 0.0}};
  const FitQuality quality = quality_of(pairs);  // 0.1, 0.1, 0; what took no time does not count
  EXPECT_EQ(quality.samples, 3U);
  EXPECT_NEAR(quality.median_error, 0.1, 1e-12);
  EXPECT_NEAR(quality.p95_error, 0.1, 1e-12);
}

TEST(Statistics, KendallsTau) {
  // Measured 10, 20, 20.2, 40; predicted puts the second behind the fourth.
  const std::vector<PredictedMeasured> pairs{{1, 10}, {5, 20}, {3, 20.2}, {4, 40}};
  // 6 pairs; (20, 20.2) is within 3 %. Of the other 5 all but (20, 40) agree: 4 - 1.
  EXPECT_EQ(count_order(pairs, 0.03).compared, 5.0);
  EXPECT_DOUBLE_EQ(count_order(pairs, 0.03).tau(), 3.0 / 5.0);
  EXPECT_EQ(OrderCount{}.tau(), 1.0);
}

TEST(Statistics, Regret) {
  EXPECT_EQ(regret({}), 0.0);
  // The lowest prediction measures 11, the best 10.
  const std::vector<PredictedMeasured> pairs{{2, 10}, {1, 11}, {3, 30}};
  EXPECT_NEAR(regret(pairs), 0.1, 1e-12);
}

}  // namespace
}  // namespace gabra
