// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include "gabra/core/error.hpp"

#include "bus_bandwidth.hpp"
#include "table_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace gabra {
namespace {

constexpr std::string_view kVtrainHeader = "size(B),count,type,time(ns),busbw(GB/s)";
constexpr std::string_view kIterationsHeader = "# GPUs,global batch,micro batch";
constexpr std::size_t kTimeColumn = 3;
constexpr std::size_t kBusColumn = 4;

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(detail::trimmed(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return cells;
}

struct VtrainRow {
  std::string place;
  double bytes = 0.0, nanoseconds = 0.0;
  detail::PrintedNumber bus;
  /// Bus bandwidth over size / time. Times are printed with four digits or more.
  [[nodiscard]] detail::BusFactor factor() const {
    constexpr double kTimeRounding = 5e-4;
    const double factor = bus.value * nanoseconds / bytes;  // GB/s x ns = bytes
    return {factor, 1.01 * bus.rounding * nanoseconds / bytes + kTimeRounding * factor};
  }
};

std::optional<VtrainRow> read_vtrain_row(std::string_view line, const std::string& place, FaultList& faults) {
  const std::vector<std::string_view> cells = cells_of(line);
  const std::size_t faults_before = faults.size();
  const auto number = [&](std::size_t column, const char* what, double least) {
    detail::PrintedNumber result;
    if (column >= cells.size()) {
      faults.add(place, fmt::format("{} columns", cells.size()), fmt::format("{} in column {}", what, column + 1));
      return result;
    }
    const auto value = detail::read_printed(cells[column]);
    if (!value || value->value < least)
      faults.add(place, in_quotes(cells[column]),
                 fmt::format("{}, a number {}", what, least > 0.0 ? "above 0" : "from 0"));
    return value.value_or(result);
  };
  constexpr double kMostBytes = 1e15;
  constexpr double kAboveZero = 1e-9;
  VtrainRow row{.place = place,
                .bytes = number(0, "the size in bytes", 1.0).value,
                .nanoseconds = number(kTimeColumn, "the time in ns", kAboveZero).value,
                .bus = number(kBusColumn, "the bus bandwidth in GB/s", 0.0)};
  if (faults.size() != faults_before) return std::nullopt;
  if (row.bytes <= kMostBytes && row.bytes == std::floor(row.bytes)) return row;
  faults.add(place, in_quotes(cells[0]), "the size in bytes, a whole number up to 1e15");
  return std::nullopt;
}

/// What the row says whose bandwidth is rounded least; all others have to say the same.
int devices_of(const std::vector<VtrainRow>& rows, const std::string& name, FaultList& faults) {
  const auto best = std::min_element(rows.begin(), rows.end(), [](const VtrainRow& a, const VtrainRow& b) {
    return a.factor().rounding < b.factor().rounding;
  });
  const auto range = detail::ranks_of(best->factor());
  if (!range || range->first < range->second) {
    const std::string which = range ? fmt::format("{} to {}", range->first, range->second) : "no number";
    faults.add(name, fmt::format("bus bandwidths that fit {} of devices", which), "2(n-1)/n x size / time");
    return 0;
  }
  const double expected = detail::ring_factor(range->first);
  for (const VtrainRow& row : rows)
    if (!row.factor().is(expected))
      faults.add(row.place, fmt::format("a bus bandwidth of {:.4g} x size / time", row.factor().value),
                 fmt::format("{:.4g} x size / time, as for {} devices", expected, range->first));
  return range->first;
}

bool is_nccl_line(std::string_view line) {
  const std::vector<std::string_view> words = detail::words_of(line);
  const auto has = [&words](std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  return line.find('#') != std::string_view::npos &&
         ((has("algbw") && has("busbw")) || line.find("Collective test starting") != std::string_view::npos);
}

}  // namespace

TableKind recognise_table(std::string_view text, const std::string& name) {
  std::optional<TableKind> kind;
  detail::for_each_line(text, [&](std::string_view line, std::size_t) {
    if (kind) return;
    if (line.starts_with(kVtrainHeader))
      kind = TableKind::VtrainAllReduce;
    else if (line.starts_with(kIterationsHeader))
      kind = TableKind::VtrainIterations;
    else if (line.starts_with("node") && line.find(" -- ") != std::string_view::npos)
      kind = TableKind::PipedreamProfile;
    else if (is_nccl_line(line))
      kind = TableKind::NcclTests;
  });
  if (kind) return *kind;
  throw_input_error(name, "a table of an unknown kind",
                    "the output of NCCL tests' all_reduce_perf or sendrecv_perf with its header, a table of vTrain "
                    "(size(B),count,type,time(ns),...), or a PipeDream profile graph");
}

CommunicationTable parse_vtrain_all_reduce(std::string_view text, const std::string& name) {
  FaultList faults;
  CommunicationTable table;
  std::vector<VtrainRow> rows;
  bool has_header = false;
  detail::for_each_line(text, [&](std::string_view line, std::size_t number) {
    const std::string place = fmt::format("{}:{}", name, number);
    if (!has_header) {
      has_header = true;
      table.place = place;
      if (!line.starts_with(kVtrainHeader))
        faults.add(place, in_quotes(line), fmt::format("\"{},...\"", kVtrainHeader));
    } else if (auto row = read_vtrain_row(line, place, faults)) {
      rows.push_back(std::move(*row));
    }
  });
  if (rows.empty() && faults.empty()) faults.add(name, "no row of an all-reduce", "at least one");
  if (!rows.empty()) table.devices = devices_of(rows, name, faults);
  faults.throw_if_any();
  for (const VtrainRow& row : rows)
    table.rows.push_back({Bytes(static_cast<std::int64_t>(row.bytes)), Seconds(row.nanoseconds * 1e-9)});
  return table;
}

}  // namespace gabra
