// SPDX-License-Identifier: MIT
#include "gabra/ga/correction.hpp"

#include "gabra/core/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace gabra::ga {
namespace {

constexpr std::size_t kQuarters = 4;
constexpr double kBaseVariance = 1.0;  // of the common factor: e-fold either way is likely

double share(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

double kernel(const std::vector<double>& a, const std::vector<double>& b, const Correction::Scales& scales) {
  double product = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) product += a[i] * b[i];
  return kBaseVariance + scales.linear * scales.linear * product +
         scales.residual * scales.residual *
             std::exp(-squared_distance(a, b) / (2.0 * scales.distance * scales.distance));
}

std::size_t row(std::size_t i) { return i * (i + 1) / 2; }

/// Solves L x = b in place.
void solve_lower(const std::vector<double>& factor, std::vector<double>& b) {
  for (std::size_t i = 0; i < b.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) b[i] -= factor[row(i) + j] * b[j];
    b[i] /= factor[row(i) + i];
  }
}

/// Solves L^T x = b in place.
void solve_upper(const std::vector<double>& factor, std::vector<double>& b) {
  for (std::size_t i = b.size(); i-- > 0;) {
    for (std::size_t j = i + 1; j < b.size(); ++j) b[i] -= factor[row(j) + i] * b[j];
    b[i] /= factor[row(i) + i];
  }
}

double seconds_of(CostModel& costs, std::int32_t first, std::int32_t end, DeviceKindId kind, std::int64_t size) {
  if (first >= end) return 0.0;
  const SpanSeconds span = costs.span(first, end, kind, size);
  return (span.forward + span.backward).value();
}

/// Which part of what the busiest device computes lies in each quarter of the units.
std::vector<double> busiest_quarters(CostModel& costs, const Plan& plan, const StepReport& report) {
  std::vector<double> quarters(kQuarters, 0.0);
  const auto busiest =
      std::max_element(report.devices.begin(), report.devices.end(),
                       [](const DeviceReport& a, const DeviceReport& b) { return a.compute < b.compute; });
  if (busiest == report.devices.end()) return quarters;
  const Problem& problem = costs.problem();
  const DeviceKindId kind = problem.cluster->device(busiest->device).kind;
  const std::int64_t size = problem.training.global_batch / plan.micro_batches;
  const auto units = static_cast<std::int32_t>(problem.network->unit_count());
  double whole = 0.0;
  for (const Stage& stage : plan.stages) {
    if (std::find(stage.devices.begin(), stage.devices.end(), busiest->device) == stage.devices.end()) continue;
    for (std::size_t q = 0; q < kQuarters; ++q) {
      const auto from = static_cast<std::int32_t>(static_cast<std::size_t>(units) * q / kQuarters);
      const auto to = static_cast<std::int32_t>(static_cast<std::size_t>(units) * (q + 1) / kQuarters);
      const double seconds =
          seconds_of(costs, std::max(from, stage.first_unit), std::min(to, stage.end_unit), kind, size) /
          static_cast<double>(stage.devices.size());
      quarters[q] += seconds;
      whole += seconds;
    }
  }
  for (double& quarter : quarters) quarter = share(quarter, whole);
  return quarters;
}

double unit_share(const Plan& plan, Recompute recompute) {
  double units = 0.0;
  double whole = 0.0;
  for (const Stage& stage : plan.stages) {
    const double own = stage.end_unit - stage.first_unit;
    whole += own;
    if (stage.recompute == recompute) units += own;
  }
  return share(units, whole);
}

}  // namespace

std::vector<double> features_of(CostModel& costs, const Plan& plan, const StepReport& simulated) {
  const auto count = static_cast<double>(plan.micro_batches);
  const auto size = static_cast<double>(costs.problem().training.global_batch) / count;
  std::set<DeviceId> devices;
  std::size_t replicas = 0;
  bool is_replicated = false;
  for (const Stage& stage : plan.stages) {
    devices.insert(stage.devices.begin(), stage.devices.end());
    replicas += stage.devices.size();
    is_replicated |= stage.devices.size() > 1;
  }
  double most = 0.0;
  double sum = 0.0;
  for (const DeviceReport& device : simulated.devices) {
    most = std::max(most, device.compute.value());
    sum += device.compute.value();
  }
  const double step = simulated.step.value();
  const double mean = share(sum, static_cast<double>(simulated.devices.size()));
  std::vector<double> features{std::log2(size) / 4.0,
                               std::log2(count) / 4.0,
                               std::log2(static_cast<double>(plan.stages.size())) / 2.0,
                               std::log2(static_cast<double>(devices.size())) / 2.0,
                               static_cast<double>(replicas - devices.size()) / 4.0,
                               plan.schedule == Schedule::GPipe ? 0.5 : 0.0,
                               plan.schedule == Schedule::Sequential ? 0.5 : 0.0,
                               is_replicated ? 0.5 : 0.0,
                               is_replicated ? std::log2(static_cast<double>(plan.bucket.value()) / 25e6) / 8.0 : 0.0,
                               unit_share(plan, Recompute::Always),
                               unit_share(plan, Recompute::ExceptLast),
                               simulated.bubble_fraction,
                               share(simulated.exposed_communication.value(), step),
                               share(most - mean, step)};
  for (const double quarter : busiest_quarters(costs, plan, simulated)) features.push_back(quarter);
  return features;
}

void Correction::add(std::vector<double> features, double log_ratio) {
  GABRA_CHECK(points_.empty() || points_.front().size() == features.size(), "features of one kind");
  points_.push_back(std::move(features));
  targets_.push_back(log_ratio);
  fit();
}

double Correction::factorise(const Scales& scales) {
  const std::size_t n = targets_.size();
  factor_.assign(row(n), 0.0);
  double log_determinant = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = kernel(points_[i], points_[j], scales);
      if (i == j) sum += scales.noise * scales.noise;
      for (std::size_t k = 0; k < j; ++k) sum -= factor_[row(i) + k] * factor_[row(j) + k];
      factor_[row(i) + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / factor_[row(j) + j];
    }
    log_determinant += std::log(factor_[row(i) + i]);
  }
  weights_ = targets_;
  solve_lower(factor_, weights_);
  double fit = 0.0;
  for (const double value : weights_) fit += value * value;
  solve_upper(factor_, weights_);
  return -0.5 * fit - log_determinant;
}

void Correction::fit() {
  double best = -std::numeric_limits<double>::infinity();
  for (const double linear : {0.03, 0.1, 0.3})
    for (const double residual : {0.02, 0.05, 0.15})
      for (const double distance : {0.3, 1.0})
        for (const double noise : {0.01, 0.03}) {
          const Scales scales{linear, residual, distance, noise};
          const double likelihood = factorise(scales);
          if (likelihood <= best) continue;
          best = likelihood;
          scales_ = scales;
        }
  (void)factorise(scales_);
}

Correction::Estimate Correction::estimate(const std::vector<double>& features) const {
  std::vector<double> nearness;
  for (const std::vector<double>& point : points_) nearness.push_back(kernel(point, features, scales_));
  Estimate result;
  for (std::size_t i = 0; i < nearness.size(); ++i) result.mean += nearness[i] * weights_[i];
  solve_lower(factor_, nearness);
  double variance = kernel(features, features, scales_);
  for (const double value : nearness) variance -= value * value;
  result.deviation = std::sqrt(std::max(variance, 0.0));
  return result;
}

/// Of a Gaussian process, without fitting it again: the prediction of point i by the others misses by
/// weights[i] / K^-1[i][i].
double Correction::left_out_error() const {
  if (size() < 2) return 0.0;
  std::vector<double> errors;
  for (std::size_t i = 0; i < size(); ++i) {
    std::vector<double> column(size(), 0.0);
    column[i] = 1.0;
    solve_lower(factor_, column);
    solve_upper(factor_, column);
    errors.push_back(std::abs(std::exp(weights_[i] / column[i]) - 1.0));
  }
  std::sort(errors.begin(), errors.end());
  return errors[errors.size() / 2];
}

std::string Correction::to_text() const {
  if (targets_.empty()) return "no plan measured: simulated times as they are";
  std::vector<double> sorted = targets_;
  std::sort(sorted.begin(), sorted.end());
  return fmt::format(
      "log(measured / simulated) of {} plans by ridge regression on {} features and a Gaussian process of what is "
      "left: factor {:.3f} in the middle, {:.3f} to {:.3f}; a plan left out is missed by {:.1f} % in the middle",
      size(), points_.front().size(), std::exp(sorted[sorted.size() / 2]), std::exp(sorted.front()),
      std::exp(sorted.back()), 100.0 * left_out_error());
}

}  // namespace gabra::ga
