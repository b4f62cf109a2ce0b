// SPDX-License-Identifier: MIT
#include "gabra/calibration/fits.hpp"
#include "gabra/core/check.hpp"
#include "least_squares.hpp"

#include <algorithm>
#include <vector>

namespace gabra {

LinkFit fit_link(std::span<const TransferSample> samples) {
  LeastSquares<2> sums;
  for (const TransferSample& sample : samples) {
    const double seconds = sample.seconds.value();
    if (seconds > 0.0) sums.add({1.0, static_cast<double>(sample.bytes.value())}, seconds, 1.0 / seconds);
  }
  const auto [latency, per_byte] = sums.solve_non_negative();
  GABRA_CHECK(latency > 0.0 || per_byte > 0.0, "a link is fitted to messages that took time");
  LinkFit fit;
  fit.latency = Seconds(latency);
  constexpr double kUnmeasurable = 1e-15;  // only empty messages: as fast as anything
  fit.bandwidth = BytesPerSecond(1.0 / std::max(per_byte, kUnmeasurable));
  std::vector<PredictedMeasured> pairs;
  for (const TransferSample& sample : samples)
    pairs.push_back({(fit.latency + sample.bytes / fit.bandwidth).value(), sample.seconds.value()});
  fit.quality = quality_of(pairs);
  return fit;
}

}  // namespace gabra
