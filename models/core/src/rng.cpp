// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"

#include "gabra/core/check.hpp"

#include <cmath>
#include <numbers>

namespace gabra {

std::uint64_t mix_bits(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

Rng Rng::substream(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  return Rng(mix_bits(mix_bits(mix_bits(seed) ^ a) ^ (b + 0x632be59bd9b4e019U)));
}

std::uint64_t Rng::below(std::uint64_t bound) {
  GABRA_CHECK(bound > 0, "a bound of zero has no numbers below it");
  // Values at or above the largest multiple of `bound` would favour small results.
  const std::uint64_t limit = engine_.max() - engine_.max() % bound;
  std::uint64_t value = engine_();
  while (value >= limit) value = engine_();
  return value % bound;
}

std::int64_t Rng::between(std::int64_t low, std::int64_t high) {
  GABRA_CHECK(low <= high, "an empty range");
  const std::uint64_t span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + (span == 0 ? bits() : below(span)));
}

double Rng::uniform() { return static_cast<double>(engine_() >> 11U) * 0x1.0p-53; }

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace gabra
