// SPDX-License-Identifier: MIT
#include "flags.hpp"

#include "gabra/core/check.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>

namespace gabra::cli {
namespace {

template <class Number>
std::optional<Number> whole(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

void FlagSet::add(const std::string& name, const std::string& value, const std::string& meaning) {
  const std::string long_name = name.substr(name.rfind(',') + 1);
  CLI::Option* option = app_.add_option(name, values_[long_name], meaning);
  option->type_name(value)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}

void FlagSet::add_switch(const std::string& name, const std::string& meaning) {
  app_.add_flag(name, switches_[name], meaning)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->disable_flag_override();
}

void FlagSet::add_positional(const std::string& name, const std::string& meaning) {
  app_.add_option(name, values_[name], meaning)->type_name("")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

const std::vector<std::string>& FlagSet::values(const std::string& name) const {
  const auto found = values_.find(name);
  GABRA_CHECK(found != values_.end(), name + " is not a flag of this command");
  return found->second;
}

bool FlagSet::is_switched_on(const std::string& name) const {
  const auto found = switches_.find(name);
  GABRA_CHECK(found != switches_.end(), name + " is not a switch of this command");
  return found->second;
}

bool FlagSet::is_given(const std::string& name) const {
  const auto found = switches_.find(name);
  return found != switches_.end() ? found->second : !values(name).empty();
}

std::vector<std::string> FlagSet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, values] : values_)
    if (name.starts_with("-")) names.push_back(name);
  for (const auto& [name, is_on] : switches_) names.push_back(name);
  return names;
}

FlagReader::FlagReader(const FlagSet& flags, FaultList& faults) : flags_(flags), faults_(faults) {
  for (const Fault& fault : flags.faults()) faults_.add(fault.where, fault.seen, fault.allowed);
}

std::optional<std::string> FlagReader::text(const std::string& name) {
  const auto& values = flags_.values(name);
  if (values.empty()) return std::nullopt;
  if (values.size() > 1) {
    faults_.add(name, fmt::format("{} values", values.size()), "one value");
    return std::nullopt;
  }
  if (values.front().empty()) {
    faults_.add(name, "an empty text", "a value");
    return std::nullopt;
  }
  return values.front();
}

std::optional<std::string> FlagReader::required(const std::string& name, const std::string& allowed) {
  if (!is_given(name)) faults_.add(name, "nothing", allowed + " (this is required)");
  return text(name);
}

std::optional<std::int64_t> FlagReader::integer(const std::string& name, Integers range) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto number = whole<std::int64_t>(*given);
  if (number && *number >= range.low && *number <= range.high) return number;
  faults_.add(name, in_quotes(*given),
              range.high == std::numeric_limits<std::int64_t>::max()
                  ? fmt::format("a whole number from {}", range.low)
                  : fmt::format("a whole number from {} to {}", range.low, range.high));
  return std::nullopt;
}

std::optional<std::uint64_t> FlagReader::seed(const std::string& name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto number = whole<std::uint64_t>(*given);
  if (!number) faults_.add(name, in_quotes(*given), "a whole number from 0 to 18446744073709551615");
  return number;
}

std::optional<double> FlagReader::positive_number(const std::string& name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto number = whole<double>(*given);
  if (number && std::isfinite(*number) && *number > 0.0) return number;
  faults_.add(name, in_quotes(*given), "a finite number above 0");
  return std::nullopt;
}

std::optional<double> FlagReader::number(const std::string& name, Numbers range) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto number = whole<double>(*given);
  if (number && *number >= range.low && *number <= range.high) return number;
  faults_.add(name, in_quotes(*given), fmt::format("a number from {} to {}", range.low, range.high));
  return std::nullopt;
}

template <class T>
std::optional<T> FlagReader::quantity(const std::string& name, Parsed<T> (*parse)(std::string_view),
                                      std::string_view allowed) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const Parsed<T> parsed = parse(*given);
  if (const T* value = std::get_if<T>(&parsed); value != nullptr && value->value() > 0) return *value;
  faults_.add(name, in_quotes(*given), std::string(allowed));
  return std::nullopt;
}

constexpr std::string_view kAllowedSize = "a size above 0 with a unit, for example \"25 MB\" or \"64 MiB\"";

std::optional<Bytes> FlagReader::bytes(const std::string& name) {
  return quantity<Bytes>(name, &parse_bytes, kAllowedSize);
}

std::optional<Seconds> FlagReader::seconds(const std::string& name) {
  return quantity<Seconds>(name, &parse_seconds, "a time above 0 with a unit, for example \"60s\" or \"5min\"");
}

std::optional<Bytes> FlagReader::size(const std::string& name, std::string_view item) {
  const Parsed<Bytes> parsed = parse_bytes(item);
  if (const Bytes* value = std::get_if<Bytes>(&parsed); value != nullptr && value->value() > 0) return *value;
  faults_.add(name, in_quotes(item), std::string(kAllowedSize));
  return std::nullopt;
}

std::vector<Bytes> FlagReader::sizes(const std::string& name) {
  std::vector<Bytes> result;
  const auto given = text(name);
  if (!given) return result;
  std::string_view rest = *given;
  while (true) {
    const std::size_t comma = rest.find(',');
    if (const auto value = size(name, rest.substr(0, comma))) result.push_back(*value);
    if (comma == std::string_view::npos) return result;
    rest.remove_prefix(comma + 1);
  }
}

std::optional<std::size_t> FlagReader::choice(const std::string& name, const std::vector<std::string>& names) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == *given) return i;
  faults_.add(name, in_quotes(*given) + did_you_mean(*given, names), fmt::format("one of {}", fmt::join(names, ", ")));
  return std::nullopt;
}

void FlagReader::refuse(const std::vector<std::string>& names, const std::string& where) {
  constexpr std::string_view kWithout = "without ";
  for (const std::string& name : names)
    if (is_given(name))
      faults_.add(
          name, "this flag " + where,
          where.starts_with(kWithout) ? "the flag with " + where.substr(kWithout.size()) : "the flag without it");
}

bool FlagReader::claim_output(const std::string& name, const std::string& path) {
  const auto is_same = [&path](const std::string& other) {
    std::error_code error;
    return std::filesystem::equivalent(path, other, error) ||
           std::filesystem::absolute(path, error).lexically_normal() ==
               std::filesystem::absolute(other, error).lexically_normal();
  };
  for (const auto& [flag, other] : outputs_)
    if (flag != name && is_same(other)) {
      faults_.add(name, fmt::format("{}, which {} writes", in_quotes(path), flag), "a file of its own");
      return false;
    }
  outputs_[name] = path;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return true;
  for (const auto& [flag, values] : flags_.all_values())
    for (const std::string& value : values)
      if (flag != name && std::filesystem::equivalent(path, value, error)) {
        faults_.add(name, fmt::format("{}, which {} reads", in_quotes(path), flag), "another file than what is read");
        return false;
      }
  return true;
}

}  // namespace gabra::cli
