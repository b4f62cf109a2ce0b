// SPDX-License-Identifier: MIT
#include "gabra/data/measures.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

namespace gabra::data {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // 97.5 %

/// Ranks from 1, the mean rank among equals.
std::vector<double> mid_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = 0.5 * static_cast<double>(begin + 1 + end);
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

/// Area under the curve of one class against the rest, and DeLong's placement value of every sample: the share of the
/// other side that it is ordered rightly against, equals counting half.
struct Placements {
  double area = 0.0;
  std::vector<double> values;
};

Placements placements(std::span<const std::int64_t> labels, std::int64_t positive, std::span<const double> scores) {
  const std::vector<double> ranks = mid_ranks(scores);
  std::vector<double> own_scores[2];
  std::vector<std::size_t> members[2];
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t side = labels[i] == positive ? 1 : 0;
    own_scores[side].push_back(scores[i]);
    members[side].push_back(i);
  }
  Placements result;
  result.values.resize(labels.size());
  for (std::size_t side = 0; side < 2; ++side) {
    const std::vector<double> own_ranks = mid_ranks(own_scores[side]);
    const auto others = static_cast<double>(members[1 - side].size());
    for (std::size_t k = 0; k < members[side].size(); ++k) {
      const double below = (ranks[members[side][k]] - own_ranks[k]) / others;
      result.values[members[side][k]] = side == 1 ? below : 1.0 - below;
    }
  }
  for (const std::size_t i : members[1]) result.area += result.values[i];
  result.area /= static_cast<double>(members[1].size());
  return result;
}

/// Interval of an area by its score: all areas t with |area - t| <= z sqrt(V(t)), V by Hanley and McNeil with the mean
/// of both numbers of samples in their numerators (Newcombe 2006, method 5). With several positive classes, of the one
/// with the fewest samples.
Estimate newcombe(double area, std::span<const std::int64_t> counts, std::span<const std::int64_t> positives) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  double own = total;
  for (const std::int64_t positive : positives)
    own = std::min(own, static_cast<double>(counts[static_cast<std::size_t>(positive)]));
  const double others = total - own;
  const double spread = total / 2.0 - 1.0;
  const auto is_within = [&](double t) {
    const double variance =
        t * (1.0 - t) * (1.0 + spread * (1.0 - t) / (2.0 - t) + spread * t / (1.0 + t)) / (own * others);
    return std::abs(area - t) <= kNormalQuantile * std::sqrt(std::max(0.0, variance));
  };
  const auto limit = [&](double outside) {
    double inside = area;
    if (is_within(outside)) return outside;
    for (int i = 0; i < 60; ++i) {
      const double middle = (inside + outside) / 2.0;
      (is_within(middle) ? inside : outside) = middle;
    }
    return inside;
  };
  return {.value = area, .low = limit(0.0), .high = limit(1.0)};
}

/// Mean area over `positives` with DeLong's variance: the samples of each true class are drawn independently, and a
/// sample's influence is its centred placement value over the size of its side, averaged over `positives`. With one
/// positive class this is DeLong's S10 / m + S01 / n.
Estimate area_under_curve(std::span<const std::int64_t> labels, std::span<const std::int64_t> counts,
                          std::span<const double> probabilities, std::span<const std::int64_t> positives) {
  const std::size_t n = labels.size();
  const std::size_t classes = counts.size();
  const auto groups = static_cast<double>(positives.size());
  std::vector<double> influence(n, 0.0);
  std::vector<double> scores(n);
  double area = 0.0;
  for (const std::int64_t positive : positives) {
    const auto column = static_cast<std::size_t>(positive);
    for (std::size_t i = 0; i < n; ++i) scores[i] = probabilities[i * classes + column];
    const Placements placed = placements(labels, positive, scores);
    area += placed.area / groups;
    const auto own = static_cast<double>(counts[column]);
    const double others = static_cast<double>(n) - own;
    for (std::size_t i = 0; i < n; ++i)
      influence[i] += placed.values[i] / (labels[i] == positive ? own : others) / groups;
  }
  double variance = 0.0;
  for (std::size_t group = 0; group < classes; ++group) {
    const auto size = static_cast<double>(counts[group]);
    if (size < 2) continue;
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum += labels[i] == static_cast<std::int64_t>(group) ? influence[i] : 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < n; ++i)
      if (labels[i] == static_cast<std::int64_t>(group)) squares += std::pow(influence[i] - sum / size, 2);
    variance += squares * size / (size - 1.0);
  }
  // Where classes are ranked without a fault, or all alike, DeLong's variance is 0, which is no certainty.
  if (variance == 0.0) return newcombe(area, counts, positives);
  const double margin = kNormalQuantile * std::sqrt(variance);
  return {.value = area, .low = std::max(0.0, area - margin), .high = std::min(1.0, area + margin)};
}

std::vector<double> without_nan(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  for (double& value : result)
    if (!std::isfinite(value)) value = -std::numeric_limits<double>::infinity();
  return result;
}

/// The mean of independent proportions; the distances to their limits add in quadrature (MOVER, Zou and Donner 2008).
Estimate mean_of(const std::vector<std::optional<Estimate>>& parts) {
  const auto count = static_cast<double>(parts.size());
  Estimate mean;
  double below = 0.0;
  double above = 0.0;
  for (const auto& part : parts) {
    mean.value += part->value / count;
    below += std::pow((part->value - part->low) / count, 2);
    above += std::pow((part->high - part->value) / count, 2);
  }
  mean.low = mean.value - std::sqrt(below);
  mean.high = mean.value + std::sqrt(above);
  return mean;
}

void count_predictions(Measures& result, std::span<const std::int64_t> labels, std::span<const double> probabilities,
                       std::size_t classes) {
  result.confusion.assign(classes, std::vector<std::int64_t>(classes, 0));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = probabilities.subspan(i * classes, classes);
    const auto predicted = static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++result.confusion[static_cast<std::size_t>(labels[i])][predicted];
  }
}

}  // namespace

Estimate wilson(std::int64_t successes, std::int64_t n) {
  GABRA_CHECK(n > 0 && successes >= 0 && successes <= n, "a proportion of a positive number");
  const auto count = static_cast<double>(n);
  const double share = static_cast<double>(successes) / count;
  const double z2 = kNormalQuantile * kNormalQuantile;
  const double scale = 1.0 + z2 / count;
  const double centre = (share + z2 / (2.0 * count)) / scale;
  const double margin = kNormalQuantile / scale * std::sqrt(share * (1.0 - share) / count + z2 / (4.0 * count * count));
  return {.value = share,
          .low = successes == 0 ? 0.0 : std::max(0.0, centre - margin),
          .high = successes == n ? 1.0 : std::min(1.0, centre + margin)};
}

Measures measure(std::span<const std::int64_t> labels, std::span<const double> probabilities, std::size_t classes) {
  GABRA_CHECK(classes >= 2 && probabilities.size() == labels.size() * classes, "one probability per sample and class");
  const std::vector<double> scores = without_nan(probabilities);
  std::vector<std::int64_t> counts(classes, 0);
  for (const std::int64_t label : labels) {
    GABRA_CHECK(label >= 0 && static_cast<std::size_t>(label) < classes, "a label of one of the classes");
    ++counts[static_cast<std::size_t>(label)];
  }
  Measures result;
  result.samples = static_cast<std::int64_t>(labels.size());
  count_predictions(result, labels, scores, classes);
  result.recall.resize(classes);
  std::int64_t right = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    right += result.confusion[c][c];
    if (counts[c] > 0) result.recall[c] = wilson(result.confusion[c][c], counts[c]);
  }
  if (result.samples > 0) result.accuracy = wilson(right, result.samples);
  if (classes == 2) {
    result.specificity = result.recall[0];
    result.sensitivity = result.recall[1];
  }
  if (std::all_of(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; })) {
    result.balanced_accuracy = mean_of(result.recall);
    std::vector<std::int64_t> positives{1};
    if (classes > 2) {
      positives.resize(classes);
      std::iota(positives.begin(), positives.end(), std::int64_t{0});
    }
    result.auc = area_under_curve(labels, counts, scores, positives);
  }
  return result;
}

}  // namespace gabra::data
