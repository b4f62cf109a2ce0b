// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace gabra {

/// Seeded random numbers whose values are the same with every standard library: a standard engine, distributions of
/// our own. One substream per (generation, individual) keeps results independent of the number of jobs.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : engine_(seed) {}
  /// An independent stream for `a`, `b` under `seed` (SplitMix64 over the three).
  [[nodiscard]] static Rng substream(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0);

  [[nodiscard]] std::uint64_t bits() { return engine_(); }
  /// Uniform in [0, bound), unbiased; bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  /// Uniform in [low, high], both included; low <= high.
  [[nodiscard]] std::int64_t between(std::int64_t low, std::int64_t high);
  /// Uniform in [0, 1) with 53 bits.
  [[nodiscard]] double uniform();
  /// True with probability `p`.
  [[nodiscard]] bool chance(double p) { return uniform() < p; }
  /// Standard normal (Box-Muller, one of the pair).
  [[nodiscard]] double normal();

  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

/// SplitMix64 finaliser; also used to hash keys.
[[nodiscard]] std::uint64_t mix_bits(std::uint64_t value);

}  // namespace gabra
