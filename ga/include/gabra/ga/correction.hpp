// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/report.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace gabra::ga {

/// What a correction knows of a plan, numbers of about 1: sizes (micro-batch, count, stages, devices, buckets),
/// schedule, recomputation, where the simulated step goes (bubble, exposed communication, imbalance), and which
/// quarter of the network the busiest device computes.
[[nodiscard]] std::vector<double> features_of(CostModel& costs, const Plan& plan, const StepReport& simulated);

/// Learns the logarithm of measured / simulated time from plans that were measured.
///
/// A Gaussian process with mean 0 and the kernel
///     k(x, y) = 1 + l^2 x.y + r^2 exp(-|x - y|^2 / 2 d^2)
/// whose first two terms are a ridge regression (a common factor and a weight for every feature, drawn to 0) and whose
/// third lets plans that are alike share what is left. l, r, d and the noise of a measurement are the ones of a small
/// grid under which the measurements are likeliest. Our own choice; the same data give the same bits.
class Correction {
 public:
  struct Estimate {
    double mean = 0.0;       ///< of log(measured / simulated); 0 without data
    double deviation = 1.0;  ///< standard; grows with the distance from what was measured
  };
  /// The numbers of the kernel.
  struct Scales {
    double linear = 0.3;
    double residual = 0.1;
    double distance = 0.5;
    double noise = 0.01;
  };

  void add(std::vector<double> features, double log_ratio);
  [[nodiscard]] Estimate estimate(const std::vector<double>& features) const;
  [[nodiscard]] std::size_t size() const { return targets_.size(); }
  [[nodiscard]] const Scales& scales() const { return scales_; }
  /// Median of |measured / predicted - 1| where every plan is predicted by the others; 0 of fewer than two.
  [[nodiscard]] double left_out_error() const;
  /// "12 plans: factor 1.83 in the middle, ...", one line.
  [[nodiscard]] std::string to_text() const;

 private:
  void fit();
  /// Factorises for `scales`; returns the logarithm of the data's likelihood.
  double factorise(const Scales& scales);

  std::vector<std::vector<double>> points_;
  std::vector<double> targets_;
  Scales scales_;
  std::vector<double> factor_;   // lower triangle of Cholesky's L, row by row
  std::vector<double> weights_;  // K^-1 targets
};

}  // namespace gabra::ga
