// SPDX-License-Identifier: MIT
#include "cpu_kernels.hpp"

#include <algorithm>

// Every loop is a template that is inlined into a function for float and one for double, which are compiled for several
// instruction sets; the loader picks. Sums run in 32 lanes, of float64 or, within a block, of T.

namespace gabra::exec::cpu {
namespace {

constexpr std::int64_t kLanes = 32;
constexpr std::int64_t kBlock = 32 * kLanes;

/// Largest value over the first two dimensions of the window, for every position of a row, and the row it is in.
template <class T>
[[gnu::always_inline]] inline void take_row(const T* row, std::int32_t row_at, T* best, std::int32_t* at,
                                            std::int64_t width) {
#pragma GCC ivdep
  for (std::int64_t w = 0; w < width; ++w) {
    const bool takes = (row[w] > best[w]) | (row[w] != row[w]);
    best[w] = takes ? row[w] : best[w];
    at[w] = takes ? row_at : at[w];
  }
}

/// Along the row: a later column wins if it is larger, or equal and in an earlier row (or NaN and in a later one).
template <class T>
[[gnu::always_inline]] inline void take_columns(const T* best, const std::int32_t* at, T* output,
                                                std::int32_t* position, const PoolGeometry& g) {
  for (std::int64_t o = 0; o < g.output[2]; ++o) {
    const std::int64_t start = o * g.stride[2] - g.padding[2];
    const std::int64_t first = std::max<std::int64_t>(start, 0), end = std::min(start + g.kernel[2], g.input[2]);
    T value = best[first];
    std::int32_t row = at[first];
    std::int64_t column = first;
    for (std::int64_t w = first + 1; w < end; ++w) {
      const T next = best[w];
      const bool wins =
          (next > value) | ((next == value) & (at[w] < row)) | ((next != next) & ((value == value) | (at[w] >= row)));
      value = wins ? next : value;
      row = wins ? at[w] : row;
      column = wins ? w : column;
    }
    output[o] = value;
    position[o] = row + static_cast<std::int32_t>(column);
  }
}

template <class T>
[[gnu::always_inline]] inline void pool_plane(const T* input, T* output, std::int32_t* position, const PoolGeometry& g,
                                              PoolScratch<T>& scratch) {
  const std::int64_t width = g.input[2];
  scratch.best.resize(static_cast<std::size_t>(width));
  scratch.at.resize(static_cast<std::size_t>(width));
  for (std::int64_t d = 0; d < g.output[0]; ++d) {
    const std::int64_t d_start = d * g.stride[0] - g.padding[0];
    const std::int64_t d_first = std::max<std::int64_t>(d_start, 0),
                       d_end = std::min(d_start + g.kernel[0], g.input[0]);
    for (std::int64_t h = 0; h < g.output[1]; ++h) {
      const std::int64_t h_start = h * g.stride[1] - g.padding[1];
      const std::int64_t h_first = std::max<std::int64_t>(h_start, 0),
                         h_end = std::min(h_start + g.kernel[1], g.input[1]);
      bool is_first = true;
      for (std::int64_t i = d_first; i < d_end; ++i)
        for (std::int64_t j = h_first; j < h_end; ++j) {
          const auto at = static_cast<std::int32_t>((i * g.input[1] + j) * width);
          if (is_first) {
            std::copy_n(input + at, width, scratch.best.data());
            std::fill_n(scratch.at.data(), width, at);
          } else {
            take_row(input + at, at, scratch.best.data(), scratch.at.data(), width);
          }
          is_first = false;
        }
      take_columns(scratch.best.data(), scratch.at.data(), output, position, g);
      output += g.output[2];
      position += g.output[2];
    }
  }
}

/// Sum over all values of term(index); lanes of `Lane` go to float64 after each block.
template <class Lane, class Term>
[[gnu::always_inline]] inline double sum_run(std::int64_t count, const Term& term) {
  double total = 0.0;
  std::int64_t i = 0;
  while (count - i >= kLanes) {
    const std::int64_t end = i + std::min(kBlock, (count - i) / kLanes * kLanes);
    Lane lanes[kLanes] = {};
    for (; i < end; i += kLanes)
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
    for (const Lane lane : lanes) total += static_cast<double>(lane);
  }
  for (; i < count; ++i) total += static_cast<double>(term(i));
  return total;
}

/// Terms in T, sums in float64, as LibTorch: mean and deviation, rounded to T, have the same bits as there, and so have
/// the signs that ReLU and max pooling go by.
template <class T>
[[gnu::always_inline]] inline Moments moments(const T* x, const ChannelRuns& runs) {
  const double count = static_cast<double>(runs.samples * runs.positions);
  Moments result;
  for (std::int64_t n = 0; n < runs.samples; ++n) {
    const T* const run = x + n * runs.stride;
    result.mean += sum_run<double>(runs.positions, [run](std::int64_t i) { return static_cast<double>(run[i]); });
  }
  result.mean /= count;
  for (std::int64_t n = 0; n < runs.samples; ++n) {
    const T* const run = x + n * runs.stride;
    result.squares += sum_run<double>(runs.positions, [run, mean = static_cast<T>(result.mean)](std::int64_t i) {
      const T difference = run[i] - mean;
      return static_cast<double>(difference * difference);
    });
  }
  return result;
}

template <class T, bool kHasResidual, bool kHasRelu>
[[gnu::always_inline]] inline void normalise_run(const T* x, const T* residual, T* y, std::int64_t count, T scale,
                                                 T shift) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    T value = x[i] * scale + shift;
    if constexpr (kHasResidual) value += residual[i];
    if constexpr (kHasRelu) value = value < T{0} ? T{0} : value;  // NaN stays
    y[i] = value;
  }
}

template <class T>
[[gnu::always_inline]] inline void normalise(const T* x, T* y, const ChannelRuns& runs, Line<T> line,
                                             Epilogue<T> epilogue) {
  for (std::int64_t n = 0; n < runs.samples; ++n) {
    const std::int64_t at = n * runs.stride;
    const T* const residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + at;
    if (residual != nullptr && epilogue.has_relu)
      normalise_run<T, true, true>(x + at, residual, y + at, runs.positions, line.scale, line.shift);
    else if (residual != nullptr)
      normalise_run<T, true, false>(x + at, residual, y + at, runs.positions, line.scale, line.shift);
    else if (epilogue.has_relu)
      normalise_run<T, false, true>(x + at, residual, y + at, runs.positions, line.scale, line.shift);
    else
      normalise_run<T, false, false>(x + at, residual, y + at, runs.positions, line.scale, line.shift);
  }
}

template <class T>
[[gnu::always_inline]] inline GradientSums gradient_sums(const T* x, T* g, const T* y, const ChannelRuns& runs,
                                                         double mean) {
  GradientSums sums;
  const T center = static_cast<T>(mean);
  for (std::int64_t n = 0; n < runs.samples; ++n) {
    const T* const values = x + n * runs.stride;
    T* const gradient = g + n * runs.stride;
    // A block at a time, so that each is in the nearest cache for all its passes.
    for (std::int64_t first = 0; first < runs.positions; first += kBlock) {
      const std::int64_t count = std::min(kBlock, runs.positions - first);
      const T* const xs = values + first;
      T* const gs = gradient + first;
      if (y != nullptr) {
        const T* const ys = y + n * runs.stride + first;
#pragma GCC ivdep
        for (std::int64_t i = 0; i < count; ++i) gs[i] = ys[i] <= T{0} ? T{0} : gs[i];
      }
      sums.sum += sum_run<T>(count, [gs](std::int64_t i) { return gs[i]; });
      sums.dot += sum_run<T>(count, [gs, xs, center](std::int64_t i) { return gs[i] * (xs[i] - center); });
    }
  }
  sums.dot -= sums.sum * (mean - static_cast<double>(center));
  return sums;
}

template <class T>
[[gnu::always_inline]] inline void input_gradient(const T* x, const T* g, T* result, const ChannelRuns& runs,
                                                  const GradientLine& line) {
  const auto scale = static_cast<T>(line.scale), offset = static_cast<T>(line.offset),
             slope = static_cast<T>(line.slope), mean = static_cast<T>(line.mean);
  for (std::int64_t n = 0; n < runs.samples; ++n) {
    const T* const xs = x + n * runs.stride;
    const T* const gs = g + n * runs.stride;
    T* const out = result + n * runs.stride;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < runs.positions; ++i) out[i] = scale * (gs[i] - offset - slope * (xs[i] - mean));
  }
}

template <class T>
[[gnu::always_inline]] inline void sgd(T* weight, const T* gradient, T* velocity, std::int64_t count,
                                       const SgdRule& rule) {
  const auto rate = static_cast<T>(rule.learning_rate), momentum = static_cast<T>(rule.momentum),
             decay = static_cast<T>(rule.weight_decay);
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const T next = momentum * velocity[i] + (gradient[i] + decay * weight[i]);
    velocity[i] = next;
    weight[i] -= rate * next;
  }
}

template <class T>
[[gnu::always_inline]] inline void adamw(T* weight, const T* gradient, Moving<T> moving, std::int64_t count,
                                         const AdamWRule& rule) {
  const auto keep = static_cast<T>(1.0 - rule.learning_rate * rule.weight_decay),
             rate = static_cast<T>(rule.learning_rate / rule.correction1), beta1 = static_cast<T>(rule.beta1),
             beta2 = static_cast<T>(rule.beta2), rest1 = static_cast<T>(1.0 - rule.beta1),
             rest2 = static_cast<T>(1.0 - rule.beta2), epsilon = static_cast<T>(rule.epsilon),
             root = static_cast<T>(std::sqrt(rule.correction2));
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const T mean = beta1 * moving.mean[i] + rest1 * gradient[i];
    const T square = beta2 * moving.square[i] + rest2 * (gradient[i] * gradient[i]);
    moving.mean[i] = mean;
    moving.square[i] = square;
    weight[i] = weight[i] * keep - rate * mean / (std::sqrt(square) / root + epsilon);
  }
}

}  // namespace

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void max_pool_plane(const float* input,
                                                                                          float* output,
                                                                                          std::int32_t* position,
                                                                                          const PoolGeometry& geometry,
                                                                                          PoolScratch<float>& scratch) {
  pool_plane(input, output, position, geometry, scratch);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void max_pool_plane(
    const double* input, double* output, std::int32_t* position, const PoolGeometry& geometry,
    PoolScratch<double>& scratch) {
  pool_plane(input, output, position, geometry, scratch);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] Moments channel_moments(const float* x,
                                                                                              const ChannelRuns& runs) {
  return moments(x, runs);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] Moments channel_moments(const double* x,
                                                                                              const ChannelRuns& runs) {
  return moments(x, runs);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void channel_normalise(const float* x, float* y,
                                                                                             const ChannelRuns& runs,
                                                                                             Line<float> line,
                                                                                             Epilogue<float> epilogue) {
  normalise(x, y, runs, line, epilogue);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void channel_normalise(
    const double* x, double* y, const ChannelRuns& runs, Line<double> line, Epilogue<double> epilogue) {
  normalise(x, y, runs, line, epilogue);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] GradientSums channel_gradient_sums(
    const float* x, float* g, const float* y, const ChannelRuns& runs, double mean) {
  return gradient_sums(x, g, y, runs, mean);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] GradientSums channel_gradient_sums(
    const double* x, double* g, const double* y, const ChannelRuns& runs, double mean) {
  return gradient_sums(x, g, y, runs, mean);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void channel_input_gradient(
    const float* x, const float* g, float* result, const ChannelRuns& runs, const GradientLine& line) {
  input_gradient(x, g, result, runs, line);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void channel_input_gradient(
    const double* x, const double* g, double* result, const ChannelRuns& runs, const GradientLine& line) {
  input_gradient(x, g, result, runs, line);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void sgd_step(float* weight,
                                                                                    const float* gradient,
                                                                                    float* velocity, std::int64_t count,
                                                                                    const SgdRule& rule) {
  sgd(weight, gradient, velocity, count, rule);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void adamw_step(
    float* weight, const float* gradient, Moving<float> moving, std::int64_t count, const AdamWRule& rule) {
  adamw(weight, gradient, moving, count, rule);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void sgd_step(
    double* weight, const double* gradient, double* velocity, std::int64_t count, const SgdRule& rule) {
  sgd(weight, gradient, velocity, count, rule);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void adamw_step(
    double* weight, const double* gradient, Moving<double> moving, std::int64_t count, const AdamWRule& rule) {
  adamw(weight, gradient, moving, count, rule);
}

}  // namespace gabra::exec::cpu
