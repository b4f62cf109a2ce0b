// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace gabra::detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view message);
}  // namespace gabra::detail

/// Our own bug, never bad input: prints file:line, the condition and the message, and aborts. On in every build.
/// The message is evaluated only when the check fails.
#define GABRA_CHECK(condition, message)                \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::gabra::detail::check_failed(__FILE__, __LINE__, #condition, (message)))
