// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace gabra {

/// A number with a dimension. One base unit per dimension (bytes, seconds, flops, watts, joules); only operators that
/// mean something exist. `Rep` is int64 for bytes (never 32 bits) and double for everything else.
template <class Tag, class Rep>
class Quantity {
 public:
  using rep = Rep;

  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}

  [[nodiscard]] constexpr Rep value() const { return value_; }

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity& operator+=(Quantity other) { return *this = *this + other; }
  constexpr Quantity& operator-=(Quantity other) { return *this = *this - other; }

  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, Rep factor) { return Quantity(a.value_ * factor); }
  friend constexpr Quantity operator*(Rep factor, Quantity a) { return Quantity(a.value_ * factor); }
  friend constexpr Quantity operator/(Quantity a, Rep divisor) { return Quantity(a.value_ / divisor); }
  /// Ratio of two quantities of the same dimension, always a double.
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value_) / static_cast<double>(b.value_);
  }

 private:
  Rep value_ = 0;
};

using Bytes = Quantity<struct BytesTag, std::int64_t>;
using Seconds = Quantity<struct SecondsTag, double>;
using Flops = Quantity<struct FlopsTag, double>;  ///< floating-point operations; a multiply-add is two
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;
using FlopsPerSecond = Quantity<struct FlopsPerSecondTag, double>;
using Watts = Quantity<struct WattsTag, double>;
using Joules = Quantity<struct JoulesTag, double>;

constexpr Seconds operator/(Bytes amount, BytesPerSecond rate) {
  return Seconds(static_cast<double>(amount.value()) / rate.value());
}
constexpr Seconds operator/(Flops amount, FlopsPerSecond rate) { return Seconds(amount.value() / rate.value()); }
constexpr Joules operator*(Watts power, Seconds duration) { return Joules(power.value() * duration.value()); }

static_assert((Bytes(100) / BytesPerSecond(25.0)).value() == 4.0);
static_assert((Flops(90.0) / FlopsPerSecond(30.0)).value() == 3.0);
static_assert((Watts(10.0) * Seconds(2.0)).value() == 20.0);
static_assert(Bytes(6) / Bytes(4) == 1.5);

/// What a unit parser returns: the quantity, or one sentence that says what is allowed.
template <class T>
using Parsed = std::variant<T, std::string>;

/// Reads "25 GB/s", "32GiB", "2 us": a finite, non-negative number followed by a unit. k, M, G, T, P are powers of
/// 1000, Ki, Mi, Gi, Ti of 1024; `B` is byte, `bit` or `b` is bit (only rates take bits). A bare number is refused
/// unless it is zero. Values that do not fit the representation are refused.
[[nodiscard]] Parsed<Bytes> parse_bytes(std::string_view text);
[[nodiscard]] Parsed<Seconds> parse_seconds(std::string_view text);
[[nodiscard]] Parsed<BytesPerSecond> parse_bytes_per_second(std::string_view text);
[[nodiscard]] Parsed<FlopsPerSecond> parse_flops_per_second(std::string_view text);
[[nodiscard]] Parsed<Watts> parse_watts(std::string_view text);

/// Text for people with three or four significant digits: "40.0 ms", "1.23 GiB", "25.0 GB/s".
[[nodiscard]] std::string to_text(Bytes value);
[[nodiscard]] std::string to_text(Seconds value);
[[nodiscard]] std::string to_text(Flops value);
[[nodiscard]] std::string to_text(BytesPerSecond value);
[[nodiscard]] std::string to_text(FlopsPerSecond value);
[[nodiscard]] std::string to_text(Watts value);
[[nodiscard]] std::string to_text(Joules value);

/// Text that the matching parser reads back to the same bits: "25000000000 B/s", "2e-06 s", "34359738368 B".
[[nodiscard]] std::string to_exact_text(Bytes value);
[[nodiscard]] std::string to_exact_text(Seconds value);
[[nodiscard]] std::string to_exact_text(BytesPerSecond value);
[[nodiscard]] std::string to_exact_text(FlopsPerSecond value);
[[nodiscard]] std::string to_exact_text(Watts value);

}  // namespace gabra
