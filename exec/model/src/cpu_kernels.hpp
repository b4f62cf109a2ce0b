// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

// Inner loops of layers that LibTorch's CPU kernels leave slow: one plane or one channel at a time, in float32 and
// float64, compiled for x86-64-v4, -v3 and the baseline (levels with FMA for all vector sizes: every element is rounded
// alike). No threads: callers spread planes and channels.

namespace gabra::exec::cpu {

/// Extents of a pool over three dimensions; fewer are led by ones.
struct PoolGeometry {
  std::array<std::int64_t, 3> input, output, kernel, stride, padding;
};

/// Memory for the rows of one plane; one per thread.
template <class T>
struct PoolScratch {
  std::vector<T> best;
  std::vector<std::int32_t> at;
};

/// Maximum of every window and its position within the plane. The first of equal ones, in the order of positions; of
/// NaNs the last: as LibTorch.
void max_pool_plane(const float* input, float* output, std::int32_t* position, const PoolGeometry& geometry,
                    PoolScratch<float>& scratch);
void max_pool_plane(const double* input, double* output, std::int32_t* position, const PoolGeometry& geometry,
                    PoolScratch<double>& scratch);

/// The values of one channel: `samples` runs of `positions` values, `stride` apart.
struct ChannelRuns {
  std::int64_t samples = 0, positions = 0, stride = 0;
};

struct Moments {
  double mean = 0.0;
  double squares = 0.0;  ///< sum of (x - mean)^2
};
[[nodiscard]] Moments channel_moments(const float* x, const ChannelRuns& runs);
[[nodiscard]] Moments channel_moments(const double* x, const ChannelRuns& runs);

/// 1 / sqrt(biased variance + epsilon), rounded step by step as in LibTorch.
template <class T>
[[nodiscard]] T inverse_deviation(const Moments& moments, const ChannelRuns& runs, double epsilon) {
  const T variance = static_cast<T>(moments.squares) / static_cast<T>(runs.samples * runs.positions);
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(variance) + epsilon));
}

/// y = x scale + shift.
template <class T>
struct Line {
  T scale = 1, shift = 0;
};
template <class T>
[[nodiscard]] Line<T> normalisation(double mean, T inverse_deviation, T weight, T bias) {
  const T scale = inverse_deviation * weight;
  return {scale, std::fma(-static_cast<T>(mean), scale, bias)};
}

/// What follows a normalisation in the same pass.
template <class T>
struct Epilogue {
  const T* residual = nullptr;  ///< added, if any
  bool has_relu = false;
};
/// y = relu(line(x) + residual).
void channel_normalise(const float* x, float* y, const ChannelRuns& runs, Line<float> line, Epilogue<float> epilogue);
void channel_normalise(const double* x, double* y, const ChannelRuns& runs, Line<double> line,
                       Epilogue<double> epilogue);

struct GradientSums {
  double sum = 0.0;  ///< of g
  double dot = 0.0;  ///< of g (x - mean)
};
/// Where `y` is given, first g = 0 at y <= 0; `g` is changed to it.
[[nodiscard]] GradientSums channel_gradient_sums(const float* x, float* g, const float* y, const ChannelRuns& runs,
                                                 double mean);
[[nodiscard]] GradientSums channel_gradient_sums(const double* x, double* g, const double* y, const ChannelRuns& runs,
                                                 double mean);

/// result = scale (g - offset - slope (x - mean)); `result` may be `g`.
struct GradientLine {
  double scale = 1.0, offset = 0.0, slope = 0.0, mean = 0.0;
};
void channel_input_gradient(const float* x, const float* g, float* result, const ChannelRuns& runs,
                            const GradientLine& line);
void channel_input_gradient(const double* x, const double* g, double* result, const ChannelRuns& runs,
                            const GradientLine& line);

/// Numbers of one update; see UpdateOptions.
struct SgdRule {
  double learning_rate = 0.0, momentum = 0.0, weight_decay = 0.0;
};
/// One pass over `count` elements. Every element is rounded alike, wherever it lies: an update does not depend on how
/// parameters are spread over buckets. (LibTorch's fused optimizers treat the last few elements differently.)
void sgd_step(float* weight, const float* gradient, float* velocity, std::int64_t count, const SgdRule& rule);
void sgd_step(double* weight, const double* gradient, double* velocity, std::int64_t count, const SgdRule& rule);

struct AdamWRule {
  double learning_rate = 0.0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.0;
  double correction1 = 1.0, correction2 = 1.0;  ///< 1 - beta^step
};
template <class T>
struct Moving {
  T* mean;    ///< of the gradient
  T* square;  ///< of its square
};
void adamw_step(float* weight, const float* gradient, Moving<float> moving, std::int64_t count, const AdamWRule& rule);
void adamw_step(double* weight, const double* gradient, Moving<double> moving, std::int64_t count,
                const AdamWRule& rule);

}  // namespace gabra::exec::cpu
