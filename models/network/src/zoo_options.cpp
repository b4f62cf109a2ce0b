// SPDX-License-Identifier: MIT
#include "zoo_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace gabra {
namespace {

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

ZooOptions::ZooOptions(const ZooEntry& entry, std::string_view text, FaultList& faults) : text_(text), faults_(faults) {
  std::vector<std::string> known;
  for (const ZooOption& option : entry.options) {
    values_[option.name] = option.fallback;
    known.push_back(option.name);
  }
  const std::size_t colon = text.find(':');
  std::string_view rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  while (colon != std::string_view::npos) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const std::size_t equals = item.find('=');
    const std::string option(item.substr(0, equals));
    if (equals == std::string_view::npos || !values_.contains(option))
      faults_.add(text_,
                  equals == std::string_view::npos ? in_quotes(item)
                                                   : "the option " + in_quotes(option) + did_you_mean(option, known),
                  fmt::format("OPTION=VALUE with an option of {}", fmt::join(known, ", ")));
    else if (std::find(given_.begin(), given_.end(), option) != given_.end())
      faults_.add(place(option), "the option twice", "each option once");
    else {
      given_.push_back(option);
      values_[option] = std::string(item.substr(equals + 1));
    }
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
}

std::string ZooOptions::place(std::string_view option) const { return fmt::format("{}: option {}", text_, option); }

void ZooOptions::refuse(const std::string& option, std::string allowed) {
  faults_.add(place(option), in_quotes(values_.at(option)), std::move(allowed));
}

std::int64_t ZooOptions::integer(const std::string& option, std::int64_t low, std::int64_t high, std::int64_t step) {
  const auto value = parse_number<std::int64_t>(values_.at(option));
  if (value && *value >= low && *value <= high && *value % step == 0) return *value;
  faults_.add(place(option), in_quotes(values_.at(option)),
              fmt::format("a whole number from {} to {}{}", low, high,
                          step == 1 ? "" : fmt::format(", a multiple of {}", step)));
  return low;
}

double ZooOptions::share(const std::string& option) {
  const auto value = parse_number<double>(values_.at(option));
  if (value && *value >= 0.0 && *value < 1.0) return *value;
  faults_.add(place(option), in_quotes(values_.at(option)), "a number from 0 to less than 1");
  return 0.0;
}

Shape ZooOptions::shape(const std::string& option, std::size_t dimensions) {
  constexpr std::int64_t kMost = 65'535;
  Shape shape;
  std::string_view rest = values_.at(option);
  bool is_right = true;
  while (is_right) {
    const std::size_t cross = rest.find('x');
    const auto extent = parse_number<std::int64_t>(rest.substr(0, cross));
    is_right = extent && *extent >= 1 && *extent <= kMost && shape.size() < dimensions;
    shape.push_back(extent.value_or(1));
    if (cross == std::string_view::npos) break;
    rest.remove_prefix(cross + 1);
  }
  if (is_right && shape.size() == dimensions) return shape;
  faults_.add(place(option), in_quotes(values_.at(option)),
              fmt::format("CHANNELSx{} with whole numbers from 1 to {}",
                          dimensions == 4 ? "DEPTHxHEIGHTxWIDTH" : "HEIGHTxWIDTH", kMost));
  return Shape(dimensions, 1);
}

}  // namespace gabra
