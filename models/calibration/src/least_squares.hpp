// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace gabra {

/// Linear least squares in N unknowns that may not be negative, by trying every set of unknowns above zero (N is
/// small). Samples are added up as they come.
template <std::size_t N>
class LeastSquares {
 public:
  using Vector = std::array<double, N>;

  /// weight x (coefficients . unknowns - value) is to be small.
  void add(const Vector& coefficients, double value, double weight) {
    const double square = weight * weight;
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j < N; ++j) matrix_[i][j] += square * coefficients[i] * coefficients[j];
      right_[i] += square * coefficients[i] * value;
    }
    constant_ += square * value * value;
  }

  /// Sum of squares at `x`.
  [[nodiscard]] double residual(const Vector& x) const {
    double sum = constant_;
    for (std::size_t i = 0; i < N; ++i) {
      sum -= 2.0 * right_[i] * x[i];
      for (std::size_t j = 0; j < N; ++j) sum += x[i] * matrix_[i][j] * x[j];
    }
    return sum;
  }

  [[nodiscard]] Vector solve_non_negative() const {
    Vector best{};
    double least = residual(best);
    for (unsigned set = 1; set < (1U << N); ++set) {
      const Vector x = solve(set);
      if (!std::all_of(x.begin(), x.end(), [](double value) { return std::isfinite(value) && value >= 0.0; })) continue;
      if (const double error = residual(x); error < least) {
        least = error;
        best = x;
      }
    }
    return best;
  }

 private:
  /// Gauss with pivots, in the unknowns of `set`, scaled to ones on the diagonal; the others are 0. Not finite where
  /// the set is dependent.
  [[nodiscard]] Vector solve(unsigned set) const {
    std::array<std::size_t, N> at{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < N; ++i)
      if ((set >> i & 1U) != 0) at[count++] = i;
    std::array<std::array<double, N + 1>, N> rows{};
    Vector scale{};
    for (std::size_t i = 0; i < count; ++i) scale[i] = 1.0 / std::sqrt(matrix_[at[i]][at[i]]);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = 0; j < count; ++j) rows[i][j] = matrix_[at[i]][at[j]] * scale[i] * scale[j];
      rows[i][N] = right_[at[i]] * scale[i];
    }
    Vector x{};
    if (!eliminate(rows, count)) {
      x.fill(std::numeric_limits<double>::quiet_NaN());
      return x;
    }
    for (std::size_t i = 0; i < count; ++i) x[at[i]] = rows[i][N] / rows[i][i] * scale[i];
    return x;
  }

  static bool eliminate(std::array<std::array<double, N + 1>, N>& rows, std::size_t count) {
    constexpr double kDependent = 1e-12;
    for (std::size_t k = 0; k < count; ++k) {
      std::size_t pivot = k;
      for (std::size_t i = k + 1; i < count; ++i)
        if (std::abs(rows[i][k]) > std::abs(rows[pivot][k])) pivot = i;
      std::swap(rows[k], rows[pivot]);
      if (!(std::abs(rows[k][k]) > kDependent)) return false;
      for (std::size_t i = 0; i < count; ++i) {
        if (i == k) continue;
        const double factor = rows[i][k] / rows[k][k];
        for (std::size_t j = k; j < N + 1; ++j) rows[i][j] -= factor * rows[k][j];
      }
    }
    return true;
  }

  std::array<std::array<double, N>, N> matrix_{};
  Vector right_{};
  double constant_ = 0.0;
};

}  // namespace gabra
