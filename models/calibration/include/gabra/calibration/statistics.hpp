// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gabra {

/// The value below which `share` of `values` lie, on the line between the two nearest ones; 0 of none.
[[nodiscard]] double quantile(std::vector<double> values, double share);
/// The middle value, or the mean of the middle two; 0 of none.
[[nodiscard]] double median(std::vector<double> values);

/// Mean of the values from the 5 % to the 95 % quantile: of times whose sum over a step is wanted, which is more than
/// the sum of their medians, since times are skewed; 0 of none.
[[nodiscard]] double middle_mean(const std::vector<double>& values);

/// Half the width of the 95 % confidence interval of the median over the median, from the order of the values alone
/// (binomial, no assumption on how they are distributed). 1 where there are too few values (below 6) to say.
[[nodiscard]] double median_uncertainty(std::vector<double> values);

/// How well a model describes what was measured: relative errors |predicted - measured| / measured.
struct FitQuality {
  std::size_t samples = 0;
  double median_error = 0.0;
  double p95_error = 0.0;
};

struct PredictedMeasured {
  double predicted = 0.0;
  double measured = 0.0;
};
[[nodiscard]] FitQuality quality_of(std::span<const PredictedMeasured> pairs);

/// Whether the median error is above `limit`, or the 95th percentile above three times that: so far it would be if
/// errors were normally distributed with such a median (1.96 / 0.67 = 2.9), so then a part of the samples is another
/// thing than the model says.
[[nodiscard]] bool is_poor(const FitQuality& quality, double limit);

/// "median error 1.2 %, 95 % of 120 samples within 3.4 %".
[[nodiscard]] std::string to_text(const FitQuality& quality);

/// Pairs of plans whose measured values differ by more than `least_difference` of the larger one: how many there are,
/// and how many more of them are predicted in the right order than in the wrong one.
struct OrderCount {
  double compared = 0.0;
  double agreement = 0.0;
  OrderCount& operator+=(OrderCount other) {
    compared += other.compared;
    agreement += other.agreement;
    return *this;
  }
  /// Kendall's; nothing to compare: 1.
  [[nodiscard]] double tau() const { return compared > 0.0 ? agreement / compared : 1.0; }
};
[[nodiscard]] OrderCount count_order(std::span<const PredictedMeasured> pairs, double least_difference);

/// How much slower the one with the lowest prediction is than the one with the lowest measurement, over the latter; 0
/// of none.
[[nodiscard]] double regret(std::span<const PredictedMeasured> pairs);

}  // namespace gabra
