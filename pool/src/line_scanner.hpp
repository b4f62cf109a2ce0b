// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>
#include <system_error>

namespace gabra::pool {

/// Reads text of a known form from left to right. After the first thing that is not as expected everything fails.
class LineScanner {
 public:
  explicit LineScanner(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool is_good() const { return is_good_; }
  [[nodiscard]] bool is_at_end() const { return is_good_ && rest_.empty(); }

  /// Passes over `text` if it comes next.
  [[nodiscard]] bool accept(std::string_view text) {
    if (!is_good_ || !rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  void expect(std::string_view text) { is_good_ = accept(text); }
  /// Calls `item` for every item of a list in brackets.
  template <class Item>
  void list(Item item) {
    expect("[");
    if (accept("]")) return;
    do {
      item();
    } while (is_good_ && accept(","));
    expect("]");
  }
  /// A finite number that the type can hold.
  template <class Number>
  [[nodiscard]] Number number() {
    Number value{};
    if (!is_good_) return value;
    const bool is_number = !rest_.empty() && (rest_.front() == '-' || (rest_.front() >= '0' && rest_.front() <= '9'));
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    is_good_ = is_number && error == std::errc();
    if (is_good_) rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  /// A text without escapes.
  [[nodiscard]] std::string_view word() {
    expect("\"");
    const std::size_t end = rest_.find('"');
    if (!is_good_ || end == std::string_view::npos) {
      is_good_ = false;
      return {};
    }
    const std::string_view result = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return result;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  void fail() { is_good_ = false; }

 private:
  std::string_view rest_;
  bool is_good_ = true;
};

}  // namespace gabra::pool
