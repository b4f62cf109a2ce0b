// SPDX-License-Identifier: MIT
#include "gabra/core/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <span>

namespace gabra {
namespace {

struct UnitName {
  std::string_view name;
  double factor;
};

constexpr std::array<UnitName, 11> kPrefixes{{{"", 1.0},
                                              {"k", 1e3},
                                              {"M", 1e6},
                                              {"G", 1e9},
                                              {"T", 1e12},
                                              {"P", 1e15},
                                              {"Ki", 1024.0},
                                              {"Mi", 1048576.0},
                                              {"Gi", 1073741824.0},
                                              {"Ti", 1099511627776.0},
                                              {"Pi", 1125899906842624.0}}};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<double> factor_of(std::string_view unit, std::span<const UnitName> bases) {
  for (const UnitName& base : bases) {
    if (!unit.ends_with(base.name)) continue;
    const std::string_view prefix = unit.substr(0, unit.size() - base.name.size());
    for (const UnitName& known : kPrefixes)
      if (prefix == known.name) return known.factor * base.factor;
  }
  return std::nullopt;
}

/// The number in front, times the unit behind it.
std::optional<double> parse_quantity(std::string_view text, std::span<const UnitName> bases, bool with_prefixes) {
  text = trimmed(text);
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || std::signbit(number)) return std::nullopt;
  const std::string_view unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  if (unit.empty()) return number == 0.0 ? std::optional(0.0) : std::nullopt;
  std::optional<double> factor;
  if (with_prefixes) {
    factor = factor_of(unit, bases);
  } else {
    for (const UnitName& base : bases)
      if (unit == base.name) factor = base.factor;
  }
  if (!factor) return std::nullopt;
  // Dividing by a power of ten is exact where multiplying by its inverse is not ("2 us" == 2e-6).
  const double result = *factor < 1.0 ? number / std::round(1.0 / *factor) : number * *factor;
  if (!std::isfinite(result)) return std::nullopt;
  return result;
}

template <class T>
Parsed<T> parse_real(std::string_view text, std::span<const UnitName> bases, bool with_prefixes,
                     std::string_view allowed) {
  const std::optional<double> value = parse_quantity(text, bases, with_prefixes);
  if (!value) return std::string(allowed);
  return T(*value);
}

constexpr std::array kByteUnits{UnitName{"B", 1.0}};
constexpr std::array kSecondUnits{UnitName{"s", 1.0},   UnitName{"ms", 1e-3},  UnitName{"us", 1e-6},
                                  UnitName{"ns", 1e-9}, UnitName{"min", 60.0}, UnitName{"h", 3600.0}};
constexpr std::array kByteRateUnits{UnitName{"bit/s", 0.125}, UnitName{"Bps", 1.0}, UnitName{"bps", 0.125},
                                    UnitName{"B/s", 1.0}, UnitName{"b/s", 0.125}};
constexpr std::array kFlopRateUnits{UnitName{"FLOP/s", 1.0}, UnitName{"FLOPS", 1.0}, UnitName{"flop/s", 1.0},
                                    UnitName{"flops", 1.0}, UnitName{"Flop/s", 1.0}};
constexpr std::array kWattUnits{UnitName{"W", 1.0}};

struct Scale {
  double factor;
  std::string_view unit;
};

/// Four significant digits at the largest scale not above the value.
std::string scaled(double value, std::span<const Scale> scales) {
  if (value == 0.0) return fmt::format("0 {}", scales.back().unit);
  for (const Scale& scale : scales)
    if (std::abs(value) >= scale.factor * 0.9995 || &scale == &scales.back()) {
      const double shown = value / scale.factor;
      const int digits = std::abs(shown) >= 999.5 ? 0 : std::abs(shown) >= 99.95 ? 1 : std::abs(shown) >= 9.995 ? 2 : 3;
      return fmt::format("{:.{}f} {}", shown, digits, scale.unit);
    }
  return {};
}

std::string decimal(double value, std::string_view unit) {
  const std::array scales{Scale{1e15, "P"}, Scale{1e12, "T"}, Scale{1e9, "G"},
                          Scale{1e6, "M"},  Scale{1e3, "k"},  Scale{1.0, ""}};
  return scaled(value, scales) + std::string(unit);
}

}  // namespace

Parsed<Bytes> parse_bytes(std::string_view text) {
  constexpr std::string_view kAllowed = "a size with a unit, for example \"32 GiB\" or \"25 MB\", below 8 EiB";
  // Whole byte counts beyond 2^53 are written as plain digits and must not pass through a double.
  const std::string_view digits = trimmed(text);
  std::int64_t exact = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exact);
  const std::string_view rest = trimmed(digits.substr(static_cast<std::size_t>(end - digits.data())));
  if (error == std::errc() && rest == "B" && !digits.starts_with('-')) return Bytes(exact);
  const std::optional<double> value = parse_quantity(text, kByteUnits, true);
  if (!value || *value >= 0x1p63) return std::string(kAllowed);
  return Bytes(std::llround(*value));
}
Parsed<Seconds> parse_seconds(std::string_view text) {
  return parse_real<Seconds>(text, kSecondUnits, false, "a time with a unit: h, min, s, ms, us or ns");
}
Parsed<BytesPerSecond> parse_bytes_per_second(std::string_view text) {
  return parse_real<BytesPerSecond>(text, kByteRateUnits, true,
                                    "a rate with a unit, for example \"25 GB/s\" or \"200 Gbit/s\"");
}
Parsed<FlopsPerSecond> parse_flops_per_second(std::string_view text) {
  return parse_real<FlopsPerSecond>(text, kFlopRateUnits, true, "a rate with a unit, for example \"15.7 TFLOP/s\"");
}
Parsed<Watts> parse_watts(std::string_view text) {
  return parse_real<Watts>(text, kWattUnits, true, "a power with a unit, for example \"300 W\"");
}

std::string to_text(Bytes value) {
  const std::array scales{Scale{1099511627776.0, "TiB"}, Scale{1073741824.0, "GiB"}, Scale{1048576.0, "MiB"},
                          Scale{1024.0, "KiB"}};
  if (std::abs(static_cast<double>(value.value())) < 1024.0) return fmt::format("{} B", value.value());
  return scaled(static_cast<double>(value.value()), scales);
}
std::string to_text(Seconds value) {
  const std::array scales{Scale{1.0, "s"}, Scale{1e-3, "ms"}, Scale{1e-6, "us"}, Scale{1e-9, "ns"}};
  return value.value() == 0.0 ? "0 s" : scaled(value.value(), scales);
}
std::string to_text(Flops value) { return decimal(value.value(), "FLOP"); }
std::string to_text(BytesPerSecond value) { return decimal(value.value(), "B/s"); }
std::string to_text(FlopsPerSecond value) { return decimal(value.value(), "FLOP/s"); }
std::string to_text(Watts value) { return decimal(value.value(), "W"); }
std::string to_text(Joules value) { return decimal(value.value(), "J"); }

std::string to_exact_text(Bytes value) { return fmt::format("{} B", value.value()); }
std::string to_exact_text(Seconds value) { return fmt::format("{} s", value.value()); }
std::string to_exact_text(BytesPerSecond value) { return fmt::format("{} B/s", value.value()); }
std::string to_exact_text(FlopsPerSecond value) { return fmt::format("{} FLOP/s", value.value()); }
std::string to_exact_text(Watts value) { return fmt::format("{} W", value.value()); }

}  // namespace gabra
