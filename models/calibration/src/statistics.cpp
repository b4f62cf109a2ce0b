// SPDX-License-Identifier: MIT
#include "gabra/calibration/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (values[high] - values[low]) * (place - static_cast<double>(low));
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

double middle_mean(const std::vector<double>& values) {
  constexpr double kLeftOut = 0.05;
  const double low = quantile(values, kLeftOut), high = quantile(values, 1.0 - kLeftOut);
  double sum = 0.0, count = 0.0;
  for (const double value : values) {
    if (value < low || value > high) continue;
    sum += value;
    count += 1.0;
  }
  return count > 0.0 ? sum / count : 0.0;
}

double median_uncertainty(std::vector<double> values) {
  constexpr std::size_t kFewest = 6;  // below, no pair of order statistics holds the median with 95 %
  constexpr double kNormal = 1.96;
  if (values.size() < kFewest) return 1.0;
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const double half = kNormal * std::sqrt(count) / 2.0;
  const double last = count - 1.0;
  const auto low = static_cast<std::size_t>(std::clamp(std::floor(count / 2.0 - half), 0.0, last));
  const auto high = static_cast<std::size_t>(std::clamp(std::ceil(count / 2.0 + half), 0.0, last));
  const double middle = median(values);
  return middle > 0.0 ? (values[high] - values[low]) / 2.0 / middle : 1.0;
}

FitQuality quality_of(std::span<const PredictedMeasured> pairs) {
  std::vector<double> errors;
  for (const PredictedMeasured& pair : pairs)
    if (pair.measured > 0.0) errors.push_back(std::abs(pair.predicted - pair.measured) / pair.measured);
  return {.samples = errors.size(), .median_error = median(errors), .p95_error = quantile(errors, 0.95)};
}

bool is_poor(const FitQuality& quality, double limit) {
  constexpr double kTail = 3.0;
  return quality.median_error > limit || quality.p95_error > kTail * limit;
}

std::string to_text(const FitQuality& quality) {
  return fmt::format("median error {:.1f} %, 95 % of {} samples within {:.1f} %", 100.0 * quality.median_error,
                     quality.samples, 100.0 * quality.p95_error);
}

OrderCount count_order(std::span<const PredictedMeasured> pairs, double least_difference) {
  OrderCount count;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t j = i + 1; j < pairs.size(); ++j) {
      const double measured = pairs[i].measured - pairs[j].measured;
      const double larger = std::max(pairs[i].measured, pairs[j].measured);
      if (std::abs(measured) <= least_difference * larger) continue;
      const double predicted = pairs[i].predicted - pairs[j].predicted;
      count.compared += 1.0;
      if (predicted * measured > 0.0) count.agreement += 1.0;
      if (predicted * measured < 0.0) count.agreement -= 1.0;
    }
  return count;
}

double regret(std::span<const PredictedMeasured> pairs) {
  if (pairs.empty()) return 0.0;
  const auto by = [&](double PredictedMeasured::*field) {
    return *std::min_element(pairs.begin(), pairs.end(),
                             [field](const auto& a, const auto& b) { return a.*field < b.*field; });
  };
  const double best = by(&PredictedMeasured::measured).measured;
  return best > 0.0 ? by(&PredictedMeasured::predicted).measured / best - 1.0 : 0.0;
}

}  // namespace gabra
