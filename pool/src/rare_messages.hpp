// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/pool/messages.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace gabra::pool {

/// A JSON text, with quotes; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string json_text(std::string_view text);
[[nodiscard]] std::optional<std::string> from_json_text(std::string_view json_text);

/// All messages but answers to plans.
[[nodiscard]] std::optional<Message> parse_rare_message(std::string_view line);

}  // namespace gabra::pool
