// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace gabra::data {

/// Without blanks, tabs and carriage returns at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);
/// ASCII letters in lower case.
[[nodiscard]] std::string lower(std::string_view text);
/// Control characters as '?', cut after 60 characters: safe to print.
[[nodiscard]] std::string printable(std::string_view text);
/// "run-2" before "run-10": numbers in names are compared as numbers. A strict weak order.
[[nodiscard]] bool natural_less(std::string_view a, std::string_view b);

}  // namespace gabra::data
