// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <set>

namespace gabra {
namespace {

constexpr std::string_view kBlank = " \t\r";
constexpr std::string_view kVtrainHeader = "size(B),count,type,time(ns),busbw(GB/s)";
constexpr int kMostDevices = 65536;

std::vector<std::string> split(std::string_view line, std::string_view separators, bool keeps_empty) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find_first_of(separators, begin), line.size());
    if (keeps_empty || end > begin) words.emplace_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

/// Calls `read(line, place)` for every line that is not empty.
void for_each_line(std::string_view text, const std::string& name,
                   const std::function<void(std::string_view, const std::string&)>& read) {
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    if (!line.empty()) read(line, fmt::format("{}:{}", name, number));
    begin = end + 1;
  }
}

std::optional<double> number_of(const std::string& word) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value) || value <= 0.0)
    return std::nullopt;
  return value;
}

/// From 2(n-1)/n: how bus bandwidth is defined.
std::optional<int> devices_of(double factor) {
  constexpr double kTolerance = 0.02;  // bandwidths are printed with two decimals
  if (!(factor > 0.5) || !(factor < 2.0)) return std::nullopt;
  const double devices = std::round(2.0 / (2.0 - factor));
  if (devices < 2.0 || devices > kMostDevices) return std::nullopt;
  if (std::abs(2.0 * (devices - 1.0) / devices - factor) > kTolerance) return std::nullopt;
  return static_cast<int>(devices);
}

/// Numbers in the named columns of a row, or a fault.
class Row {
 public:
  Row(std::vector<std::string> words, std::string place, FaultList& faults)
      : words_(std::move(words)), place_(std::move(place)), faults_(faults) {}

  std::optional<double> at(std::size_t column, const char* what) {
    if (column >= words_.size()) {
      faults_.add(place_, fmt::format("{} columns", words_.size()), fmt::format("{} in column {}", what, column + 1));
      return std::nullopt;
    }
    const auto value = number_of(words_[column]);
    if (!value) faults_.add(place_, in_quotes(words_[column]), fmt::format("{}, a number above 0", what));
    return value;
  }
  void fault(const std::string& seen, const std::string& allowed) { faults_.add(place_, seen, allowed); }

 private:
  std::vector<std::string> words_;
  std::string place_;
  FaultList& faults_;
};

std::optional<Bytes> size_of(double bytes, Row& row) {
  constexpr double kMost = 1e15;
  if (bytes >= 1.0 && bytes <= kMost && bytes == std::floor(bytes)) return Bytes(static_cast<std::int64_t>(bytes));
  row.fault(fmt::format("a size of {} bytes", bytes), "a whole number of bytes");
  return std::nullopt;
}

void require_rows(const std::vector<AllReduceRow>& rows, const std::string& name, FaultList& faults) {
  if (rows.empty() && faults.empty()) faults.add(name, "no row of an all-reduce", "at least one");
  faults.throw_if_any();
}

/// Median of what the rows say, since one row's bandwidths are rounded.
std::optional<int> common_devices(const std::vector<double>& factors) { return devices_of(median(factors)); }

}  // namespace

TableKind recognise_table(std::string_view text, const std::string& name) {
  std::optional<TableKind> kind;
  for_each_line(text.substr(0, 1 << 16), name, [&](std::string_view line, const std::string&) {
    if (kind) return;
    if (line.starts_with(kVtrainHeader))
      kind = TableKind::VtrainAllReduce;
    else if (line.starts_with("node") && line.find(" -- ") != std::string_view::npos)
      kind = TableKind::PipedreamProfile;
    else if (line.starts_with("#") && line.find("busbw") != std::string_view::npos)
      kind = TableKind::NcclTests;
  });
  if (kind) return *kind;
  throw_input_error(
      name, "a table of an unknown kind",
      "the output of NCCL tests' all_reduce_perf, a table of vTrain (size(B),count,type,time(ns),...), or a "
      "PipeDream profile graph");
}

std::vector<AllReduceRow> parse_vtrain_all_reduce(std::string_view text, const std::string& name) {
  FaultList faults;
  std::vector<AllReduceRow> rows;
  std::vector<double> factors;
  bool has_header = false;
  for_each_line(text, name, [&](std::string_view line, const std::string& place) {
    if (!has_header) {
      has_header = true;
      if (!line.starts_with(kVtrainHeader))
        faults.add(place, in_quotes(line), fmt::format("\"{},...\"", kVtrainHeader));
      return;
    }
    Row row(split(line, ",", true), place, faults);
    const auto size = row.at(0, "the size in bytes");
    const auto nanoseconds = row.at(3, "the time in ns");
    const auto bandwidth = row.at(4, "the bus bandwidth in GB/s");
    if (!size || !nanoseconds || !bandwidth) return;
    const auto bytes = size_of(*size, row);
    if (!bytes) return;
    factors.push_back(*bandwidth * *nanoseconds / *size);  // GB/s x ns = bytes
    rows.push_back({.devices = 0, .bytes = *bytes, .seconds = Seconds(*nanoseconds * 1e-9)});
  });
  if (!rows.empty()) {
    const auto devices = common_devices(factors);
    if (!devices) faults.add(name, "bus bandwidths that fit no number of devices", "2(n-1)/n x size / time");
    for (AllReduceRow& row : rows) row.devices = devices.value_or(2);
  }
  require_rows(rows, name, faults);
  return rows;
}

std::vector<AllReduceRow> parse_nccl_tests(std::string_view text, const std::string& name) {
  FaultList faults;
  std::vector<AllReduceRow> rows;
  std::vector<double> factors;
  std::set<std::string> ranks;
  bool is_all_reduce = true;
  for_each_line(text, name, [&](std::string_view line, const std::string& place) {
    const std::vector<std::string> words = split(line, kBlank, false);
    if (line.starts_with("#")) {
      if (words.size() > 2 && words[1] == "Rank") ranks.insert(words[2]);
      if (words.size() > 4 && words[1] == "Collective" && words[4].find("AllReduce") == std::string::npos)
        is_all_reduce = false;
      return;
    }
    if (line.front() < '0' || line.front() > '9') return;  // what the launcher printed
    Row row(words, place, faults);
    // Zero bytes take no measurable bandwidth, and say nothing here.
    if (words.front() == "0") return;
    const auto size = row.at(0, "the size in bytes");
    const auto microseconds = row.at(5, "the out-of-place time in us");
    const auto algorithm = row.at(6, "the algorithm bandwidth in GB/s");
    const auto bus = row.at(7, "the bus bandwidth in GB/s");
    if (!size || !microseconds || !algorithm || !bus) return;
    const auto bytes = size_of(*size, row);
    if (!bytes) return;
    // Of small sizes the printed bandwidths have too few digits.
    if (*algorithm >= 1.0) factors.push_back(*bus / *algorithm);
    rows.push_back({.devices = 0, .bytes = *bytes, .seconds = Seconds(*microseconds * 1e-6)});
  });
  if (!is_all_reduce) faults.add(name, "another collective than all-reduce", "the output of all_reduce_perf");
  std::optional<int> devices;
  if (ranks.size() >= 2)
    devices = static_cast<int>(ranks.size());
  else if (!factors.empty())
    devices = common_devices(factors);
  if (!devices && !rows.empty())
    faults.add(name, "no number of devices", "a line \"#  Rank N ...\" for each of at least two, as NCCL tests print");
  for (AllReduceRow& row : rows) row.devices = devices.value_or(2);
  require_rows(rows, name, faults);
  return rows;
}

}  // namespace gabra
