// SPDX-License-Identifier: MIT
#include "gabra/data/participants.hpp"

#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace gabra::data {
namespace {

constexpr std::size_t kMostIdCharacters = 128;
constexpr const char* kAllowedTable =
    "a table with tabs between cells: a header with participant_id and group, one row per person";

/// Where the columns are that mean something; npos where there is none.
struct Columns {
  std::size_t id = std::string::npos;
  std::size_t group = std::string::npos;
  std::size_t age = std::string::npos;
  std::size_t sex = std::string::npos;
};

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  while (true) {
    const std::size_t tab = line.find('\t');
    cells.emplace_back(trimmed(line.substr(0, tab)));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

/// The first of `names` that is a column.
std::size_t column(const std::vector<std::string>& columns, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (lower(columns[i]) == name) return i;
  return std::string::npos;
}

Columns find_columns(const std::vector<std::string>& columns, const std::string& place, bool needs_groups,
                     FaultList& faults) {
  std::map<std::string, int> seen;
  for (const std::string& name : columns)
    if (++seen[lower(name)] == 2)
      faults.add(place, fmt::format("two columns named {}", in_quotes(name)), "each column once");
  const Columns result{.id = column(columns, {"participant_id"}),
                       .group = column(columns, {"group", "diagnosis", "dx"}),
                       .age = column(columns, {"age"}),
                       .sex = column(columns, {"sex", "gender"})};
  std::string header;
  for (const std::string& name : columns) header += (header.empty() ? "" : ", ") + name;
  if (result.id == std::string::npos)
    faults.add(place, "no column participant_id among " + in_quotes(header), kAllowedTable);
  if (result.group == std::string::npos && needs_groups)
    faults.add(place, "no column group (or diagnosis, or dx) among " + in_quotes(header), kAllowedTable);
  return result;
}

bool is_id(std::string_view text) {
  const auto is_allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  };
  return text.starts_with("sub-") && text.size() > 4 && text.size() <= kMostIdCharacters &&
         std::all_of(text.begin(), text.end(), is_allowed);
}

/// Nothing for "n/a". `is_right` false for what is no age.
std::optional<double> age_of(std::string_view text, bool& is_right) {
  is_right = true;
  if (text.empty() || lower(text) == "n/a") return std::nullopt;
  if (text.ends_with('+')) text.remove_suffix(1);  // "89+", as BIDS asks for high ages
  double age = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), age);
  is_right =
      error == std::errc() && end == text.data() + text.size() && std::isfinite(age) && age >= 0.0 && age <= 150.0;
  return is_right ? std::optional(age) : std::nullopt;
}

Participant participant_of(std::vector<std::string> cells, std::size_t line, const Columns& columns, std::size_t width,
                           bool needs_groups, const std::string& place) {
  Participant row;
  row.line = line;
  row.cells = std::move(cells);
  const std::size_t count = row.cells.size();
  row.cells.resize(width);
  row.id = row.cells[columns.id];
  if (columns.group != std::string::npos) row.group = row.cells[columns.group];
  if (row.group.empty() && !needs_groups) row.group = "n/a";
  if (count != width) {
    row.faults.push_back({place, fmt::format("{} cells", count), fmt::format("{}, as in the header", width)});
    if (!is_id(row.id)) row.id.clear();
    return row;
  }
  if (!is_id(row.id)) {
    row.faults.push_back(
        {place, fmt::format("participant_id {}", in_quotes(row.id)), "\"sub-\" and letters, digits, _ or -"});
    row.id.clear();
  }
  if (row.group.empty()) row.faults.push_back({place, "no group", "a group, or n/a"});
  if (columns.age != std::string::npos) {
    bool is_right = true;
    row.age = age_of(row.cells[columns.age], is_right);
    if (!is_right)
      row.faults.push_back(
          {place, fmt::format("age {}", in_quotes(row.cells[columns.age])), "years from 0 to 150, or n/a"});
  }
  if (columns.sex != std::string::npos && lower(row.cells[columns.sex]) != "n/a") row.sex = row.cells[columns.sex];
  return row;
}

void find_repeated(ParticipantTable& table, const std::string& place) {
  std::map<std::string, std::size_t> first;  // row by id
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    Participant& row = table.rows[i];
    if (row.id.empty()) continue;
    const auto [found, is_new] = first.emplace(row.id, i);
    if (is_new) continue;
    row.is_repeated = true;
    table.rows[found->second].is_repeated = true;
    row.faults.push_back({fmt::format("{}:{}", place, row.line),
                          fmt::format("duplicate id {}, first in line {}", row.id, table.rows[found->second].line),
                          "each person once"});
  }
}

}  // namespace

ParticipantTable parse_participants(std::string_view text, const std::string& place, FaultList& faults,
                                    bool needs_groups) {
  ParticipantTable table;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Columns columns;
  bool has_header = false;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (trimmed(line).empty()) continue;
    std::vector<std::string> cells = cells_of(line);
    if (has_header) {
      table.rows.push_back(participant_of(std::move(cells), number, columns, table.columns.size(), needs_groups,
                                          fmt::format("{}:{}", place, number)));
      continue;
    }
    has_header = true;
    table.columns = std::move(cells);
    columns = find_columns(table.columns, fmt::format("{}:{}", place, number), needs_groups, faults);
    if (columns.id == std::string::npos || (columns.group == std::string::npos && needs_groups)) return table;
  }
  if (!has_header)
    faults.add(place, "an empty file", kAllowedTable);
  else if (table.rows.empty())
    faults.add(place, "a header without rows", kAllowedTable);
  find_repeated(table, place);
  return table;
}

}  // namespace gabra::data
