// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gabra::data {

/// A measure with its 95 % confidence interval.
struct Estimate {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// How good predictions are. A measure is absent where it is not defined (a class without samples).
struct Measures {
  std::int64_t samples = 0;
  std::vector<std::vector<std::int64_t>> confusion;  ///< [true class][predicted class]
  std::optional<Estimate> accuracy;                  ///< Wilson's interval
  std::vector<std::optional<Estimate>> recall;       ///< of each class; Wilson's interval
  std::optional<Estimate> sensitivity;               ///< two classes: recall of class 1
  std::optional<Estimate> specificity;               ///< two classes: recall of class 0
  std::optional<Estimate> balanced_accuracy;         ///< mean recall; the recalls' intervals combined (MOVER)
  /// Two classes: of class 1; more: mean of one against the rest. DeLong's interval, and where it has no width (ranked
  /// without a fault, or all alike) Newcombe's.
  std::optional<Estimate> auc;
};

/// `probabilities` is [samples, classes], row by row; the prediction is the largest, the first among equals. Numbers
/// that are not finite count as lower than all others. Labels are in [0, classes), classes >= 2.
[[nodiscard]] Measures measure(std::span<const std::int64_t> labels, std::span<const double> probabilities,
                               std::size_t classes);

/// successes / n with Wilson's interval at 95 %; n > 0.
[[nodiscard]] Estimate wilson(std::int64_t successes, std::int64_t n);

}  // namespace gabra::data
