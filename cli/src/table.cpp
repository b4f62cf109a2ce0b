// SPDX-License-Identifier: MIT
#include "table.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>

namespace gabra::cli {
namespace {

void append_cell(std::string& line, const std::string& cell, std::size_t width, Table::Align align) {
  const std::string padding(width - width_of(cell), ' ');
  line += align == Table::Align::Left ? cell + padding : padding + cell;
}

std::string finished(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

}  // namespace

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void Table::add_row(std::vector<std::string> cells) {
  GABRA_CHECK(!cells.empty() && cells.size() <= columns_.size(), "a row has at most one cell per column");
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::add_rule() { rows_.emplace_back(); }

std::string Table::to_text(std::size_t indent) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = width_of(columns_[i].title);
    for (const auto& row : rows_)
      if (!row.empty()) width = std::max(width, width_of(row[i]));
    widths.push_back(width);
  }
  const std::string margin(indent, ' ');
  std::string rule = margin;
  std::string text = margin;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    append_cell(text, columns_[i].title, widths[i], columns_[i].align);
    rule += std::string(widths[i], '-');
    if (i + 1 < columns_.size()) {
      text += "  ";
      rule += "  ";
    }
  }
  text = finished(std::move(text)) + rule + '\n';
  for (const auto& row : rows_) {
    if (row.empty()) {
      text += rule + '\n';
      continue;
    }
    std::string line = margin;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      append_cell(line, row[i], widths[i], columns_[i].align);
      if (i + 1 < columns_.size()) line += "  ";
    }
    text += finished(std::move(line));
  }
  return text;
}

}  // namespace gabra::cli
