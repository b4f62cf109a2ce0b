// SPDX-License-Identifier: MIT
// Laws of models/core over random inputs.
#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/core/units.hpp"
#include "gabra/json/reader.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace gabra {
namespace {

/// Any finite, non-negative double, all bit patterns alike.
rc::Gen<double> any_size() {
  return rc::gen::suchThat(rc::gen::map(rc::gen::arbitrary<std::uint64_t>(),
                                        [](std::uint64_t bits) {
                                          double value = 0.0;
                                          std::memcpy(&value, &bits, sizeof(value));
                                          return std::abs(value);
                                        }),
                           [](double value) { return std::isfinite(value); });
}

RC_GTEST_PROP(UnitsLaw, ExactTextRoundTrips, ()) {
  const double value = *any_size();
  RC_ASSERT(std::get<Seconds>(parse_seconds(to_exact_text(Seconds(value)))).value() == value);
  RC_ASSERT(std::get<BytesPerSecond>(parse_bytes_per_second(to_exact_text(BytesPerSecond(value)))).value() == value);
  RC_ASSERT(std::get<FlopsPerSecond>(parse_flops_per_second(to_exact_text(FlopsPerSecond(value)))).value() == value);
  RC_ASSERT(std::get<Watts>(parse_watts(to_exact_text(Watts(value)))).value() == value);
}

RC_GTEST_PROP(UnitsLaw, ExactTextOfBytesRoundTrips, ()) {
  const auto value = *rc::gen::inRange<std::int64_t>(0, std::numeric_limits<std::int64_t>::max());
  RC_ASSERT(std::get<Bytes>(parse_bytes(to_exact_text(Bytes(value)))) == Bytes(value));
}

RC_GTEST_PROP(UnitsLaw, TextForPeopleIsNearTheValue, ()) {
  // Four significant digits: at most half a unit of the fourth digit, 5e-4 of the value, between 1 ns and 1,000 s.
  const double value = std::pow(10.0, *rc::gen::map(rc::gen::inRange(-9000, 3000), [](int e) { return e / 1000.0; }));
  const Seconds read = std::get<Seconds>(parse_seconds(to_text(Seconds(value))));
  RC_ASSERT(std::abs(read.value() - value) <= 5.01e-4 * value);
}

RC_GTEST_PROP(UnitsLaw, NoTextCrashesAParser, (const std::string& text)) {
  for (const std::string& input : {text, "1" + text, "1 " + text + "s", text + " GB/s"}) {
    static_cast<void>(parse_bytes(input));
    static_cast<void>(parse_bytes_per_second(input));
    const Parsed<Seconds> seconds = parse_seconds(input);
    if (const auto* value = std::get_if<Seconds>(&seconds)) RC_ASSERT(value->value() >= 0.0);
  }
}

RC_GTEST_PROP(RngLaw, NumbersStayInTheirRange, (std::uint64_t seed, std::uint64_t a, std::int64_t x, std::int64_t y)) {
  Rng rng = Rng::substream(seed, a);
  const auto [low, high] = std::minmax(x, y);
  const std::int64_t value = rng.between(low, high);
  RC_ASSERT(low <= value && value <= high);
  const double share = rng.uniform();
  RC_ASSERT(0.0 <= share && share < 1.0);
}

RC_GTEST_PROP(RngLaw, ShufflingKeepsTheItems, (std::uint64_t seed, std::vector<int> items)) {
  std::vector<int> shuffled = items;
  Rng(seed).shuffle(std::span(shuffled));
  std::sort(items.begin(), items.end());
  std::sort(shuffled.begin(), shuffled.end());
  RC_ASSERT(shuffled == items);
}

RC_GTEST_PROP(ErrorLaw, QuotedTextIsPrintableAndShort, (const std::string& text)) {
  const std::string quoted = in_quotes(text);
  RC_ASSERT(std::all_of(quoted.begin(), quoted.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  RC_ASSERT(quoted.size() <= 60 * 4 + 5);
}

/// A random JSON value with at most `depth` levels below it.
json::Value any_value(Rng& rng, int depth) {
  const std::int64_t kind = rng.between(0, depth > 0 ? 6 : 4);
  if (kind == 0) return nullptr;
  if (kind == 1) return rng.chance(0.5);
  if (kind == 2) return rng.between(-1000, 1000);
  if (kind == 3) return rng.normal();
  if (kind == 4) return std::string(rng.below(5), static_cast<char>(rng.between(' ', '~')));
  json::Value result = kind == 5 ? json::Value::array() : json::Value::object();
  const auto size = rng.between(0, 4);
  for (std::int64_t i = 0; i < size; ++i) {
    if (kind == 5) {
      result.push_back(any_value(rng, depth - 1));
    } else {
      result["k" + std::to_string(i)] = any_value(rng, depth - 1);
    }
  }
  return result;
}

json::Value any_document(Rng& rng) {
  json::Value result = json::Value::object();
  for (const char* key : {"a", "b", "c", "d"}) result[key] = any_value(rng, 4);
  return result;
}

RC_GTEST_PROP(JsonLaw, ParsingWhatWasWrittenGivesTheSameValue, (std::uint64_t seed)) {
  Rng rng(seed);
  const json::Value value = any_document(rng);
  FaultList faults;
  RC_ASSERT(json::parse(value.dump(2), "f.json", faults) == value);
  RC_ASSERT(faults.empty());
}

RC_GTEST_PROP(JsonLaw, AChangedByteGivesAValueOrAFaultWithAPlace, (std::uint64_t seed)) {
  Rng rng(seed);
  std::string text = any_document(rng).dump(2);
  for (std::int64_t change = rng.between(1, 3); change > 0; --change)
    text[rng.below(text.size())] = static_cast<char>(rng.between(0, 255));
  if (rng.chance(0.3)) text.resize(rng.below(text.size()));
  FaultList faults;
  const json::Value value = json::parse(text, "f.json", faults);
  for (const Fault& fault : faults.faults()) RC_ASSERT(fault.where.starts_with("f.json: "));
  if (faults.empty()) RC_ASSERT(json::Value::accept(text));
}

}  // namespace
}  // namespace gabra
