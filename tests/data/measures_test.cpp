// SPDX-License-Identifier: MIT
#include "gabra/data/measures.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace gabra::data {
namespace {

/// Rows of two probabilities from those of class 1.
std::vector<double> two_columns(const std::vector<double>& positive) {
  std::vector<double> rows;
  for (const double p : positive) rows.insert(rows.end(), {1.0 - p, p});
  return rows;
}

TEST(Wilson, HandComputed) {
  // 8 of 10, z = 1.96, z^2 = 3.8415: centre (0.8 + 0.19207) / 1.38415 = 0.71675, half width
  // 1.96 / 1.38415 sqrt(0.016 + 3.8415 / 400) = 1.41600 x 0.160012 = 0.22657.
  const Estimate estimate = wilson(8, 10);
  EXPECT_DOUBLE_EQ(estimate.value, 0.8);
  EXPECT_NEAR(estimate.low, 0.49016, 1e-5);
  EXPECT_NEAR(estimate.high, 0.94332, 1e-5);
}

TEST(Wilson, AllAndNone) {
  // n of n: low = 1 / (1 + z^2 / n) = 10 / 13.8415.
  EXPECT_NEAR(wilson(10, 10).low, 0.722467, 1e-6);
  EXPECT_EQ(wilson(10, 10).high, 1.0);
  EXPECT_EQ(wilson(0, 10).low, 0.0);
  EXPECT_NEAR(wilson(0, 10).high, 1.0 - 0.722467, 1e-6);
}

TEST(Measures, TwoClassesByHand) {
  // Positives 0.9, 0.8, 0.4; negatives 0.7, 0.3, 0.2, 0.4. At 1/2: 2 of 3 and 3 of 4 right.
  const std::vector<std::int64_t> labels{1, 1, 1, 0, 0, 0, 0};
  const Measures result = measure(labels, two_columns({0.9, 0.8, 0.4, 0.7, 0.3, 0.2, 0.4}), 2);
  EXPECT_EQ(result.samples, 7);
  EXPECT_EQ(result.confusion, (std::vector<std::vector<std::int64_t>>{{3, 1}, {1, 2}}));
  EXPECT_DOUBLE_EQ(result.accuracy.value().value, 5.0 / 7.0);
  EXPECT_DOUBLE_EQ(result.sensitivity.value().value, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(result.specificity.value().value, 0.75);
  EXPECT_DOUBLE_EQ(result.balanced_accuracy.value().value, 0.5 * (2.0 / 3.0 + 0.75));
  // Pairs won: 4 + 4 + (2 and one tie) = 10.5 of 12.
  EXPECT_NEAR(result.auc.value().value, 0.875, 1e-12);
  // Placements of positives: 1, 1, 0.625: variance (2 x 0.015625 + 0.0625) / 2 = 0.046875, over 3: 0.015625.
  // Of negatives: 2/3, 1, 1, 5/6: mean 0.875, squares 0.0434028 + 2 x 0.015625 + 0.0017361 = 0.0763889, / 3 =
  // 0.0254630, over 4: 0.00636574. Sum 0.0219907, root 0.148293, times 1.959964 = 0.290649.
  EXPECT_NEAR(result.auc->low, 0.875 - 0.290649, 1e-6);
  EXPECT_EQ(result.auc->high, 1.0);
}

TEST(Measures, BalancedAccuracyCombinesIntervals) {
  const std::vector<std::int64_t> labels{0, 0, 0, 0, 1, 1, 1, 1, 1, 1};
  const Measures result = measure(labels, two_columns({0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1}), 2);
  const Estimate a = wilson(3, 4);
  const Estimate b = wilson(4, 6);
  const Estimate mean = result.balanced_accuracy.value();
  EXPECT_NEAR(mean.low, mean.value - 0.5 * std::hypot(a.value - a.low, b.value - b.low), 1e-12);
  EXPECT_NEAR(mean.high, mean.value + 0.5 * std::hypot(a.high - a.value, b.high - b.value), 1e-12);
}

TEST(Measures, ThreeClassesMacro) {
  // Class 0 against the rest: scores 0.8, 0.2 against 0.1, 0.5, 0.3, 0.1: 4 + 2 of 8 pairs = 0.75.
  // Class 1: 0.6, 0.3 against 0.1, 0.5, 0.3, 0.1: 4 + (2 and a tie) = 6.5 of 8 = 0.8125.
  // Class 2: 0.4, 0.8 against 0.1, 0.3, 0.3, 0.2: 8 of 8.
  const std::vector<std::int64_t> labels{0, 0, 1, 1, 2, 2};
  const std::vector<double> rows{0.8, 0.1, 0.1, 0.2, 0.5, 0.3, 0.1, 0.6, 0.3,
                                 0.5, 0.3, 0.2, 0.3, 0.3, 0.4, 0.1, 0.1, 0.8};
  const Measures result = measure(labels, rows, 3);
  EXPECT_NEAR(result.auc.value().value, (0.75 + 0.8125 + 1.0) / 3.0, 1e-12);
  EXPECT_LE(result.auc->low, result.auc->value);
  EXPECT_FALSE(result.sensitivity.has_value());
  ASSERT_EQ(result.recall.size(), 3U);
  EXPECT_DOUBLE_EQ(result.recall[0].value().value, 0.5);
  EXPECT_DOUBLE_EQ(result.recall[1].value().value, 0.5);
  EXPECT_DOUBLE_EQ(result.recall[2].value().value, 1.0);
  EXPECT_DOUBLE_EQ(result.accuracy.value().value, 4.0 / 6.0);
}

TEST(Measures, AbsentWhereNotDefined) {
  const Measures one_class = measure(std::vector<std::int64_t>{1, 1}, two_columns({0.9, 0.2}), 2);
  EXPECT_TRUE(one_class.accuracy.has_value());
  EXPECT_TRUE(one_class.sensitivity.has_value());
  EXPECT_FALSE(one_class.specificity.has_value());
  EXPECT_FALSE(one_class.auc.has_value());
  EXPECT_FALSE(one_class.balanced_accuracy.has_value());
  const Measures none = measure({}, {}, 2);
  EXPECT_EQ(none.samples, 0);
  EXPECT_FALSE(none.accuracy.has_value());
}

// By a bisection of Newcombe's condition in Python: 15 of each class, ranked without a fault; one of each, alike.
TEST(Measures, AnAreaWithoutVarianceIsNotCertain) {
  std::vector<std::int64_t> labels(30, 0);
  std::vector<double> scores(30, 0.25);
  for (std::size_t i = 0; i < 15; ++i) {
    labels[i] = 1;
    scores[i] = 0.75;
  }
  const Estimate perfect = measure(labels, two_columns(scores), 2).auc.value();
  EXPECT_EQ(perfect.value, 1.0);
  EXPECT_NEAR(perfect.low, 0.8647582056, 1e-9);
  EXPECT_EQ(perfect.high, 1.0);
  const std::vector<std::int64_t> two{0, 1};
  const Estimate alike = measure(two, two_columns({0.5, 0.5}), 2).auc.value();
  EXPECT_NEAR(alike.low, 0.0546207556, 1e-9);
  EXPECT_NEAR(alike.high, 1.0 - 0.0546207556, 1e-9);
}

TEST(Measures, NotANumberIsLowest) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Measures result = measure(std::vector<std::int64_t>{1, 0}, std::vector<double>{0.5, nan, nan, 0.5}, 2);
  EXPECT_EQ(result.auc.value().value, 0.0);
  EXPECT_EQ(result.accuracy.value().value, 0.0);
}

TEST(Measures, MonotoneScoresChangeNoArea) {
  std::vector<std::int64_t> labels;
  std::vector<double> scores;
  std::vector<double> cubes;
  for (int i = 0; i < 50; ++i) {
    labels.push_back(i % 3 == 0 ? 1 : 0);
    scores.push_back((i * 37 % 50) / 50.0);
    cubes.push_back(std::pow(scores.back(), 3));
  }
  const Estimate a = measure(labels, two_columns(scores), 2).auc.value();
  const Estimate b = measure(labels, two_columns(cubes), 2).auc.value();
  EXPECT_NEAR(a.value, b.value, 1e-12);
  EXPECT_NEAR(a.low, b.low, 1e-12);
}

}  // namespace
}  // namespace gabra::data
