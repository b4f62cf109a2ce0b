// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gabra::cli {

/// Text in aligned columns for people.
class Table {
 public:
  enum class Align { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One text per column; missing ones are empty.
  void add_row(std::vector<std::string> cells);
  /// A line between rows.
  void add_rule();
  /// Every line ends in a newline and has no spaces at its end; `indent` spaces before each.
  [[nodiscard]] std::string to_text(std::size_t indent = 2) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

/// Characters of UTF-8 `text`.
[[nodiscard]] std::size_t width_of(const std::string& text);

}  // namespace gabra::cli
