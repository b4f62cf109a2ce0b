// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra::json {
namespace {

/// Builds the value itself so that duplicate keys and deep nesting are seen where they occur.
class Builder {
 public:
  using number_integer_t = Value::number_integer_t;
  using number_unsigned_t = Value::number_unsigned_t;
  using number_float_t = Value::number_float_t;
  using string_t = Value::string_t;
  using binary_t = Value::binary_t;

  Builder(std::string_view text, const std::string& name, FaultList& faults)
      : text_(text), name_(name), faults_(faults) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(number_integer_t value) { return put(value); }
  bool number_unsigned(number_unsigned_t value) { return put(value); }
  bool number_float(number_float_t value, const string_t& text) {
    if (!std::isfinite(value)) faults_.add(place().text(), "the number " + in_quotes(text), "a finite number");
    return put(value);
  }
  bool string(string_t& value) { return put(std::move(value)); }
  bool binary(binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Value::object()); }
  bool start_array(std::size_t) { return open(Value::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(string_t& name) {
    Frame& top = stack_.back();
    top.key = name;
    top.is_duplicate = !top.keys.insert(name).second;
    if (top.is_duplicate) faults_.add(place().text(), "the field twice", "each field once");
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string& token, const Exception&) {
    const std::size_t end = std::min(position == 0 ? 0 : position - 1, text_.size());
    const auto before = text_.substr(0, end);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    const std::size_t column = newline == std::string_view::npos ? end + 1 : end - newline;
    const bool is_truncated = position > text_.size();
    faults_.add(fmt::format("{}: line {}, column {}", name_, line, column),
                is_truncated ? "the end of the file" : in_quotes(token), "JSON");
    return false;
  }

  [[nodiscard]] Value take() { return std::move(root_); }

 private:
  struct Frame {
    Value value;
    std::string key;
    std::set<std::string, std::less<>> keys;
    bool is_duplicate = false;
  };

  [[nodiscard]] Place place() const {
    Place result(name_);
    for (const Frame& frame : stack_)
      result = frame.value.is_array() ? result.item(frame.value.size()) : result.key(frame.key);
    return result;
  }
  bool open(Value empty) {
    if (static_cast<int>(stack_.size()) >= kMostDepth) {
      faults_.add(name_, fmt::format("more than {} levels of nesting", kMostDepth),
                  fmt::format("at most {} levels", kMostDepth));
      return false;
    }
    stack_.push_back({std::move(empty), {}, {}, false});
    return true;
  }
  bool close() {
    Value done = std::move(stack_.back().value);
    stack_.pop_back();
    return put(std::move(done));
  }
  template <class T>
  bool put(T&& value) {
    if (stack_.empty()) {
      root_ = std::forward<T>(value);
    } else if (Frame& top = stack_.back(); top.value.is_array()) {
      top.value.push_back(std::forward<T>(value));
    } else if (!top.is_duplicate) {
      // Not operator[]: it searches the fields one by one, which is quadratic in a large object.
      top.value.get_ref<Value::object_t&>().emplace_back(top.key, std::forward<T>(value));
    }
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  FaultList& faults_;
  Value root_;
  std::vector<Frame> stack_;
};

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

Value parse(std::string_view text, const std::string& name, FaultList& faults) {
  Builder builder(text, name, faults);
  if (!Value::sax_parse(text.begin(), text.end(), &builder)) return nullptr;
  return builder.take();
}

Place Place::key(std::string_view name) const {
  Place result = *this;
  const bool is_plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
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
  if (schema != nullptr && *schema != expected)
    object.faults().add(object.place_of("schema").text(), seen(*schema), fmt::format("\"{}\"", expected));
}

std::string exact(double value) { return fmt::format("{}", value); }

}  // namespace gabra::json
