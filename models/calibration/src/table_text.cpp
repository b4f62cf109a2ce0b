// SPDX-License-Identifier: MIT
#include "table_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace gabra::detail {

namespace {
constexpr std::string_view kBlanks = " \t\r";
}  // namespace

std::string_view trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t begin = line.find_first_not_of(kBlanks); begin != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

void for_each_line(std::string_view text, const std::function<void(std::string_view, std::size_t)>& read) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    if (!line.empty()) read(line, number);
    begin = end + 1;
  }
}

std::optional<PrintedNumber> read_printed(std::string_view word) {
  PrintedNumber number;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number.value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  if (!std::isfinite(number.value) || std::signbit(number.value)) return std::nullopt;
  const std::size_t exponent_at = std::min(word.find_first_of("eE"), word.size());
  int exponent = 0;
  if (exponent_at < word.size()) {
    const std::size_t digits = exponent_at + (word.substr(exponent_at).starts_with("e+") ? 2 : 1);
    std::from_chars(word.data() + digits, word.data() + word.size(), exponent);
  }
  const std::size_t point = word.substr(0, exponent_at).find('.');
  const std::size_t decimals = point == std::string_view::npos ? 0 : exponent_at - point - 1;
  number.rounding = 0.5 * std::pow(10.0, exponent - static_cast<int>(decimals));
  return number;
}

}  // namespace gabra::detail
