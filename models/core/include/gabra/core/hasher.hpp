// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"

#include <bit>
#include <cstdint>
#include <string_view>

namespace gabra {

/// FNV-1a over typed values, for fingerprints; text is preceded by its length, so that no two sequences run together.
/// Equal sequences have equal values on every machine.
class Hasher {
 public:
  void add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) byte(static_cast<unsigned char>(value >> shift));
  }
  void add(std::int64_t value) { add(static_cast<std::uint64_t>(value)); }
  void add(std::int32_t value) { add(std::int64_t{value}); }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value + 0.0)); }  // -0 as +0
  template <class Tag, class Rep>
  void add(Quantity<Tag, Rep> value) {
    add(value.value());
  }
  void add(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    for (const char c : text) byte(static_cast<unsigned char>(c));
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  void byte(unsigned char next) { value_ = (value_ ^ next) * 0x100000001b3ULL; }
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

}  // namespace gabra
