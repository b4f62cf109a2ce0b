// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"

#include "gabra/core/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <utility>

namespace gabra::json {
namespace {

template <class T>
std::optional<T> as_quantity(const Value& value, const Place& place, FaultList& faults,
                             Parsed<T> (*parse_text)(std::string_view), std::string_view example) {
  if (!value.is_string()) {
    faults.add(place.text(), seen(value), fmt::format("a text with a unit, for example \"{}\"", example));
    return std::nullopt;
  }
  const Parsed<T> parsed = parse_text(value.get_ref<const std::string&>());
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    faults.add(place.text(), seen(value), *problem);
    return std::nullopt;
  }
  return std::get<T>(parsed);
}

}  // namespace

Place Place::key(std::string_view name) const {
  Place result = *this;
  constexpr std::size_t kMostPlain = 60;
  const bool is_plain = !name.empty() && name.size() <= kMostPlain &&
                        std::all_of(name.begin(), name.end(),
                                    [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
  result.path_ += is_plain ? fmt::format(".{}", name) : fmt::format("[{}]", in_quotes(name));
  return result;
}

Place Place::item(std::size_t index) const {
  Place result = *this;
  result.path_ += fmt::format("[{}]", index);
  return result;
}

std::string seen(const Value& value) {
  switch (value.type()) {
    case Value::value_t::null:
      return "null";
    case Value::value_t::object:
      return fmt::format("an object of {} fields", value.size());
    case Value::value_t::array:
      return fmt::format("a list of {}", value.size());
    case Value::value_t::string:
      return "the text " + in_quotes(value.get_ref<const std::string&>());
    case Value::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    default:
      return "the number " + value.dump();
  }
}

std::optional<std::string> as_text(const Value& value, const Place& place, FaultList& faults) {
  if (value.is_string()) return value.get<std::string>();
  faults.add(place.text(), seen(value), "a text");
  return std::nullopt;
}

std::optional<bool> as_bool(const Value& value, const Place& place, FaultList& faults) {
  if (value.is_boolean()) return value.get<bool>();
  faults.add(place.text(), seen(value), "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> as_integer(const Value& value, const Place& place, FaultList& faults, IntegerRange range) {
  const auto allowed = [&] {
    if (range.high == std::numeric_limits<std::int64_t>::max())
      return range.low == std::numeric_limits<std::int64_t>::min() ? std::string("a whole number")
                                                                   : fmt::format("a whole number from {}", range.low);
    return fmt::format("a whole number from {} to {}", range.low, range.high);
  };
  std::optional<std::int64_t> number;
  if (value.is_number_unsigned()) {
    const auto bits = value.get<std::uint64_t>();
    if (bits <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      number = static_cast<std::int64_t>(bits);
  } else if (value.is_number_integer()) {
    number = value.get<std::int64_t>();
  }
  if (number && *number >= range.low && *number <= range.high) return number;
  faults.add(place.text(), seen(value), allowed());
  return std::nullopt;
}

std::optional<double> as_number(const Value& value, const Place& place, FaultList& faults, NumberRange range) {
  if (value.is_number()) {
    const double number = value.get<double>();
    if (std::isfinite(number) && number >= range.low && number <= range.high) return number;
  }
  std::string allowed = "a number";
  if (range.low != std::numeric_limits<double>::lowest()) allowed += fmt::format(" from {}", range.low);
  if (range.high != std::numeric_limits<double>::max()) allowed += fmt::format(" to {}", range.high);
  faults.add(place.text(), seen(value), std::move(allowed));
  return std::nullopt;
}

std::optional<Bytes> as_bytes(const Value& value, const Place& place, FaultList& faults) {
  return as_quantity<Bytes>(value, place, faults, &parse_bytes, "32 GiB");
}
std::optional<Seconds> as_seconds(const Value& value, const Place& place, FaultList& faults) {
  return as_quantity<Seconds>(value, place, faults, &parse_seconds, "2 us");
}
std::optional<BytesPerSecond> as_bytes_per_second(const Value& value, const Place& place, FaultList& faults) {
  return as_quantity<BytesPerSecond>(value, place, faults, &parse_bytes_per_second, "25 GB/s");
}
std::optional<FlopsPerSecond> as_flops_per_second(const Value& value, const Place& place, FaultList& faults) {
  return as_quantity<FlopsPerSecond>(value, place, faults, &parse_flops_per_second, "15.7 TFLOP/s");
}
std::optional<Watts> as_watts(const Value& value, const Place& place, FaultList& faults) {
  return as_quantity<Watts>(value, place, faults, &parse_watts, "300 W");
}

ObjectReader::ObjectReader(const Value& value, Place place, FaultList& faults)
    : value_(value), place_(std::move(place)), faults_(faults), is_object_(value.is_object()) {
  if (!is_object_) faults_.add(place_.text(), seen(value), "an object");
}

bool ObjectReader::has(std::string_view key) { return optional(key) != nullptr; }

const Value* ObjectReader::optional(std::string_view key) {
  if (!is_object_) return nullptr;
  asked_.emplace(key);
  const auto found = value_.find(std::string(key));
  return found == value_.end() ? nullptr : &*found;
}

const Value* ObjectReader::required(std::string_view key) {
  const Value* found = optional(key);
  if (found == nullptr && is_object_) faults_.add(place_of(key).text(), "no such field", "this field is required");
  return found;
}

template <class T, class Convert>
T ObjectReader::read(std::string_view key, bool is_required, T fallback, Convert convert) {
  const Value* found = is_required ? required(key) : optional(key);
  if (found == nullptr) return fallback;
  std::optional<T> converted = convert(*found, place_of(key));
  return converted ? std::move(*converted) : fallback;
}

std::string ObjectReader::text(std::string_view key) {
  return read<std::string>(key, true, {}, [&](const Value& v, const Place& p) { return as_text(v, p, faults_); });
}
std::string ObjectReader::text_or(std::string_view key, std::string fallback) {
  return read<std::string>(key, false, std::move(fallback),
                           [&](const Value& v, const Place& p) { return as_text(v, p, faults_); });
}
bool ObjectReader::boolean_or(std::string_view key, bool fallback) {
  return read<bool>(key, false, fallback, [&](const Value& v, const Place& p) { return as_bool(v, p, faults_); });
}
std::int64_t ObjectReader::integer(std::string_view key, IntegerRange range) {
  const std::int64_t fallback = std::clamp<std::int64_t>(0, range.low, range.high);
  return read<std::int64_t>(key, true, fallback,
                            [&](const Value& v, const Place& p) { return as_integer(v, p, faults_, range); });
}
std::int64_t ObjectReader::integer_or(std::string_view key, std::int64_t fallback, IntegerRange range) {
  return read<std::int64_t>(key, false, fallback,
                            [&](const Value& v, const Place& p) { return as_integer(v, p, faults_, range); });
}
double ObjectReader::number(std::string_view key, NumberRange range) {
  return read<double>(key, true, std::clamp(0.0, range.low, range.high),
                      [&](const Value& v, const Place& p) { return as_number(v, p, faults_, range); });
}
double ObjectReader::number_or(std::string_view key, double fallback, NumberRange range) {
  return read<double>(key, false, fallback,
                      [&](const Value& v, const Place& p) { return as_number(v, p, faults_, range); });
}
Bytes ObjectReader::bytes(std::string_view key) {
  return read<Bytes>(key, true, {}, [&](const Value& v, const Place& p) { return as_bytes(v, p, faults_); });
}
Bytes ObjectReader::bytes_or(std::string_view key, Bytes fallback) {
  return read<Bytes>(key, false, fallback, [&](const Value& v, const Place& p) { return as_bytes(v, p, faults_); });
}
Seconds ObjectReader::seconds(std::string_view key) {
  return read<Seconds>(key, true, {}, [&](const Value& v, const Place& p) { return as_seconds(v, p, faults_); });
}
Seconds ObjectReader::seconds_or(std::string_view key, Seconds fallback) {
  return read<Seconds>(key, false, fallback, [&](const Value& v, const Place& p) { return as_seconds(v, p, faults_); });
}
BytesPerSecond ObjectReader::bytes_per_second(std::string_view key) {
  return read<BytesPerSecond>(key, true, BytesPerSecond(1.0),
                              [&](const Value& v, const Place& p) { return as_bytes_per_second(v, p, faults_); });
}
BytesPerSecond ObjectReader::bytes_per_second_or(std::string_view key, BytesPerSecond fallback) {
  return read<BytesPerSecond>(key, false, fallback,
                              [&](const Value& v, const Place& p) { return as_bytes_per_second(v, p, faults_); });
}
FlopsPerSecond ObjectReader::flops_per_second(std::string_view key) {
  return read<FlopsPerSecond>(key, true, FlopsPerSecond(1.0),
                              [&](const Value& v, const Place& p) { return as_flops_per_second(v, p, faults_); });
}
Watts ObjectReader::watts_or(std::string_view key, Watts fallback) {
  return read<Watts>(key, false, fallback, [&](const Value& v, const Place& p) { return as_watts(v, p, faults_); });
}

namespace {
std::optional<std::size_t> as_choice(const Value& value, const Place& place, FaultList& faults,
                                     const std::vector<std::string>& names) {
  if (value.is_string()) {
    const auto found = std::find(names.begin(), names.end(), value.get_ref<const std::string&>());
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  }
  faults.add(place.text(), seen(value), fmt::format("one of {}", fmt::join(names, ", ")));
  return std::nullopt;
}
}  // namespace

std::size_t ObjectReader::choice(std::string_view key, const std::vector<std::string>& names) {
  return read<std::size_t>(key, true, 0,
                           [&](const Value& v, const Place& p) { return as_choice(v, p, faults_, names); });
}
std::size_t ObjectReader::choice_or(std::string_view key, const std::vector<std::string>& names, std::size_t fallback) {
  return read<std::size_t>(key, false, fallback,
                           [&](const Value& v, const Place& p) { return as_choice(v, p, faults_, names); });
}

std::vector<std::int64_t> ObjectReader::integers(std::string_view key, IntegerRange range) {
  std::vector<std::int64_t> result;
  list(key, [&](const Value& v, const Place& p) {
    if (const auto number = as_integer(v, p, faults_, range)) result.push_back(*number);
  });
  return result;
}
std::vector<std::string> ObjectReader::texts(std::string_view key) {
  std::vector<std::string> result;
  list(key, [&](const Value& v, const Place& p) {
    if (auto text = as_text(v, p, faults_)) result.push_back(std::move(*text));
  });
  return result;
}

void ObjectReader::list(std::string_view key, const std::function<void(const Value&, const Place&)>& each) {
  if (required(key) != nullptr) list_or_empty(key, each);
}
void ObjectReader::list_or_empty(std::string_view key, const std::function<void(const Value&, const Place&)>& each) {
  const Value* found = optional(key);
  if (found == nullptr) return;
  if (!found->is_array()) {
    faults_.add(place_of(key).text(), seen(*found), "a list");
    return;
  }
  for (std::size_t i = 0; i < found->size(); ++i) each((*found)[i], place_of(key).item(i));
}

void ObjectReader::finish() {
  if (!is_object_) return;
  const std::vector<std::string> known(asked_.begin(), asked_.end());
  for (const auto& [key, value] : value_.items())
    if (!asked_.contains(key))
      faults_.add(place_of(key).text(), "an unknown field" + did_you_mean(key, known),
                  fmt::format("one of {}", fmt::join(known, ", ")));
}

void check_schema(ObjectReader& object, std::string_view name) {
  const std::string expected = fmt::format("gabra/{}/1", name);
  const Value* schema = object.required("schema");
  if (schema == nullptr || *schema == expected) return;
  object.faults().add(object.place_of("schema").text(), seen(*schema), fmt::format("\"{}\"", expected));
  // Of a document of another kind the fields say nothing.
  const std::string of_kind = fmt::format("gabra/{}/", name);
  if (schema->is_string() && schema->get_ref<const std::string&>().starts_with("gabra/") &&
      !schema->get_ref<const std::string&>().starts_with(of_kind))
    object.faults().throw_if_any();
}

std::string exact(double value) {
  GABRA_CHECK(std::isfinite(value), "JSON has no text for a number that is not finite");
  if (value == 0.0 && std::signbit(value)) return "-0.0";  // "-0" would be read as an integer, without the sign
  return fmt::format("{}", value);
}

}  // namespace gabra::json
