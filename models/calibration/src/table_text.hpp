// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace gabra::detail {

// What the readers of tables share.

/// `line` without blanks at its ends.
[[nodiscard]] std::string_view trimmed(std::string_view line);

/// What stands between blanks.
[[nodiscard]] std::vector<std::string_view> words_of(std::string_view line);

/// Calls `read(line, number)` for every line that has more than blanks, trimmed; numbers count from 1.
void for_each_line(std::string_view text, const std::function<void(std::string_view, std::size_t)>& read);

/// A number as a program printed it, and half of what its last digit counts.
struct PrintedNumber {
  double value = 0.0;
  double rounding = 0.0;
};
/// A finite number from 0; nothing for any other text.
[[nodiscard]] std::optional<PrintedNumber> read_printed(std::string_view word);

}  // namespace gabra::detail
