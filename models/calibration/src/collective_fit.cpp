// SPDX-License-Identifier: MIT
#include "gabra/calibration/fits.hpp"
#include "gabra/core/check.hpp"
#include "least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

namespace gabra {
namespace {

/// What is tried for the parameters in which the model is not linear.
constexpr std::array kExponents{0.5, 1.0, 1.5};
constexpr int kHalfSizes = 16;             // 0, then 4 KiB x 2^k
constexpr std::size_t kGridSamples = 240;  // of many, those spread evenly over the sizes
struct Protocol {
  double share = 1.0;
  std::int64_t switch_bytes = 0;
};

std::vector<Protocol> protocols() {
  std::vector<Protocol> result{{}};
  for (const double share : {0.5, 0.6, 0.7, 0.8, 0.9})
    for (const std::int64_t kib : {32, 64, 128, 192, 256, 288, 384, 512}) result.push_back({share, kib << 10});
  return result;
}

double size_factor(const CollectiveParameters& parameters, const AllReduceSample& sample) {
  const auto bytes = static_cast<double>(sample.bytes.value());
  const double piece = bytes / (static_cast<double>(sample.devices) * static_cast<double>(sample.channels));
  if (piece < static_cast<double>(parameters.switch_bytes.value())) return 1.0 / parameters.low_latency_share;
  return 1.0 + std::pow(static_cast<double>(parameters.half_bytes.value()) / bytes, parameters.exponent);
}

/// Coefficients of launch, step, 1/factor and round_overhead/factor.
std::array<double, 4> terms(const AllReduceSample& sample, double factor) {
  const double others = 2.0 * (sample.devices - 1);
  const double per_piece = static_cast<double>(sample.bytes.value()) / sample.rings.value() / sample.devices * factor;
  return {1.0, others, others * per_piece, per_piece};
}

std::vector<AllReduceSample> thinned(std::span<const AllReduceSample> samples) {
  std::vector<AllReduceSample> sorted;
  for (const AllReduceSample& sample : samples)
    if (sample.bytes.value() > 0 && sample.seconds.value() > 0.0) sorted.push_back(sample);
  if (sorted.size() <= kGridSamples) return sorted;
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  // Evenly over the logarithm of the size, so that the many large ones do not count more than the few small ones.
  std::vector<AllReduceSample> kept;
  const double first = std::log(static_cast<double>(sorted.front().bytes.value()));
  const double last = std::log(static_cast<double>(sorted.back().bytes.value()));
  double next = first;
  for (const AllReduceSample& sample : sorted) {
    const double size = std::log(static_cast<double>(sample.bytes.value()));
    if (size < next && kept.back().bytes != sample.bytes) continue;
    kept.push_back(sample);
    next = std::max(next, size + 3.0 * (last - first) / static_cast<double>(kGridSamples));
  }
  return kept;
}

struct Solution {
  CollectiveFit fit;
  double error = std::numeric_limits<double>::infinity();
};

void try_point(std::span<const AllReduceSample> samples, bool keeps_bandwidth, bool has_step, CollectiveFit point,
               Solution& best) {
  LeastSquares<4> sums;
  for (const AllReduceSample& sample : samples) {
    const double seconds = sample.seconds.value();
    std::array<double, 4> term = terms(sample, size_factor(point.parameters, sample));
    double value = seconds;
    if (keeps_bandwidth) value -= std::exchange(term[2], 0.0);
    if (!has_step) term[1] = 0.0;
    sums.add(term, value, 1.0 / seconds);
  }
  const auto x = sums.solve_non_negative();
  const double error = sums.residual(x);
  const double per_byte = keeps_bandwidth ? 1.0 : x[2];
  if (!(error < best.error) || per_byte <= 0.0) return;
  point.parameters.launch = Seconds(x[0]);
  point.parameters.step = Seconds(x[1]);
  point.bandwidth_factor = 1.0 / per_byte;
  point.parameters.round_overhead = x[3] / per_byte;
  best = {point, error};
}

}  // namespace

Seconds predict(const CollectiveFit& fit, const AllReduceSample& sample) {
  const std::array<double, 4> term = terms(sample, size_factor(fit.parameters, sample));
  return fit.parameters.launch + fit.parameters.step * term[1] +
         Seconds((term[2] + fit.parameters.round_overhead * term[3]) / fit.bandwidth_factor);
}

CollectiveFit fit_collective(std::span<const AllReduceSample> samples, bool keeps_bandwidth) {
  const std::vector<AllReduceSample> used = thinned(samples);
  GABRA_CHECK(!used.empty(), "a collective is fitted to all-reduces that took time");
  std::set<int> sizes;
  bool has_large = false;  // a protocol for small pieces can only be told from another with both
  for (const AllReduceSample& sample : used) {
    sizes.insert(sample.devices);
    has_large = has_large || sample.bytes.value() > (std::int64_t{16} << 20);
  }
  Solution best;
  for (const Protocol& protocol : has_large&& used.size() > 20 ? protocols() : std::vector<Protocol>{{}})
    for (const double exponent : kExponents)
      for (int k = 0; k < kHalfSizes; ++k) {
        if (k == 0 && exponent != kExponents.front()) continue;
        CollectiveFit point;
        point.parameters.exponent = exponent;
        point.parameters.half_bytes = Bytes(k == 0 ? 0 : std::int64_t{4096} << (k - 1));
        point.parameters.low_latency_share = protocol.share;
        point.parameters.switch_bytes = Bytes(protocol.switch_bytes);
        try_point(used, keeps_bandwidth, sizes.size() > 1, point, best);
      }
  if (!std::isfinite(best.error)) best.fit.bandwidth_factor = 1.0;
  std::vector<PredictedMeasured> pairs;
  for (const AllReduceSample& sample : samples)
    pairs.push_back({predict(best.fit, sample).value(), sample.seconds.value()});
  best.fit.quality = quality_of(pairs);
  return best.fit;
}

}  // namespace gabra
