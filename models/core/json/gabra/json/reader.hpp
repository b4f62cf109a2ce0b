// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/units.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::json {

// Reading JSON with every fault reported at once, each with file and JSON path. Internal to gabra's own sources (it
// shows nlohmann::json), so it is not installed.

using Value = nlohmann::ordered_json;

/// Objects and arrays nested deeper are refused.
inline constexpr int kMostDepth = 64;

/// Parses `text`; syntax errors (with line and column), duplicate keys, non-finite numbers and nesting beyond
/// kMostDepth go to `faults`. `name` is the file name used in messages. Returns null when there was a syntax error.
[[nodiscard]] Value parse(std::string_view text, const std::string& name, FaultList& faults);

/// Where a value stands: file name and JSON path, "plan.json: $.stages[2]".
class Place {
 public:
  explicit Place(std::string file) : text_(std::move(file)), path_("$") {}
  [[nodiscard]] Place key(std::string_view name) const;
  [[nodiscard]] Place item(std::size_t index) const;
  [[nodiscard]] std::string text() const { return text_ + ": " + path_; }
  [[nodiscard]] const std::string& file() const { return text_; }

 private:
  std::string text_;
  std::string path_;
};

/// "the number 3", "a list of 4", "the text \"abc\"": what was seen, for a message.
[[nodiscard]] std::string seen(const Value& value);

/// Range of an integer field, both ends included.
struct IntegerRange {
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};
inline constexpr IntegerRange kPositive{1, std::numeric_limits<std::int64_t>::max()};
inline constexpr IntegerRange kNonNegative{0, std::numeric_limits<std::int64_t>::max()};

/// Range of a number field, both ends included; never non-finite.
struct NumberRange {
  double low = std::numeric_limits<double>::lowest();
  double high = std::numeric_limits<double>::max();
};

/// Conversions of one value; on a fault they add it and return an empty optional.
[[nodiscard]] std::optional<std::string> as_text(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<bool> as_bool(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<std::int64_t> as_integer(const Value&, const Place&, FaultList&, IntegerRange = {});
[[nodiscard]] std::optional<double> as_number(const Value&, const Place&, FaultList&, NumberRange = {});
/// A quantity is a text with its unit ("25 GB/s").
[[nodiscard]] std::optional<Bytes> as_bytes(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<Seconds> as_seconds(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<BytesPerSecond> as_bytes_per_second(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<FlopsPerSecond> as_flops_per_second(const Value&, const Place&, FaultList&);
[[nodiscard]] std::optional<Watts> as_watts(const Value&, const Place&, FaultList&);

/// One JSON object being read: remembers which fields were asked for, so that `finish()` can report the unknown ones.
/// A getter of a required field adds a fault when it is missing and returns the type's default value, so that parsing
/// goes on; call FaultList::throw_if_any() before using what was read. `..._or` getters are for optional fields.
class ObjectReader {
 public:
  /// Adds a fault (and reads as empty, without asking for any field) when `value` is not an object.
  ObjectReader(const Value& value, Place place, FaultList& faults);

  [[nodiscard]] bool is_object() const { return is_object_; }
  [[nodiscard]] const Place& place() const { return place_; }
  [[nodiscard]] Place place_of(std::string_view key) const { return place_.key(key); }
  [[nodiscard]] FaultList& faults() const { return faults_; }
  [[nodiscard]] bool has(std::string_view key);

  /// The field, or nullptr after adding a fault when it is missing.
  const Value* required(std::string_view key);
  /// The field, or nullptr.
  const Value* optional(std::string_view key);

  std::string text(std::string_view key);
  std::string text_or(std::string_view key, std::string fallback);
  bool boolean_or(std::string_view key, bool fallback);
  std::int64_t integer(std::string_view key, IntegerRange range = {});
  std::int64_t integer_or(std::string_view key, std::int64_t fallback, IntegerRange range = {});
  double number(std::string_view key, NumberRange range = {});
  double number_or(std::string_view key, double fallback, NumberRange range = {});
  Bytes bytes(std::string_view key);
  Bytes bytes_or(std::string_view key, Bytes fallback);
  Seconds seconds(std::string_view key);
  Seconds seconds_or(std::string_view key, Seconds fallback);
  BytesPerSecond bytes_per_second(std::string_view key);
  BytesPerSecond bytes_per_second_or(std::string_view key, BytesPerSecond fallback);
  FlopsPerSecond flops_per_second(std::string_view key);
  Watts watts_or(std::string_view key, Watts fallback);
  /// One of `names`, as its index; a fault names them all.
  std::size_t choice(std::string_view key, const std::vector<std::string>& names);
  std::size_t choice_or(std::string_view key, const std::vector<std::string>& names, std::size_t fallback);
  std::vector<std::int64_t> integers(std::string_view key, IntegerRange range = {});
  std::vector<std::string> texts(std::string_view key);
  /// Calls `each(item, place)` for every item of a list field.
  void list(std::string_view key, const std::function<void(const Value&, const Place&)>& each);
  void list_or_empty(std::string_view key, const std::function<void(const Value&, const Place&)>& each);

  /// Reports every field that was never asked for. Call once, last.
  void finish();

 private:
  template <class T, class Convert>
  T read(std::string_view key, bool is_required, T fallback, Convert convert);

  const Value& value_;
  Place place_;
  FaultList& faults_;
  bool is_object_;
  std::set<std::string, std::less<>> asked_;
};

/// Checks the "schema" field against "gabra/NAME/1". Throws InputError at once for a document of another kind.
void check_schema(ObjectReader& object, std::string_view name);

/// A finite double as JSON text that reads back to the same bits.
[[nodiscard]] std::string exact(double value);

}  // namespace gabra::json
