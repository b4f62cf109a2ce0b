// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gabra {

/// Larger files are refused unread.
inline constexpr std::int64_t kMostFileBytes = std::int64_t{64} << 20;

/// The whole file. Throws InputError (missing, a directory, unreadable, above kMostFileBytes), naming `path`.
[[nodiscard]] std::string read_file(const std::string& path);

/// Writes through a temporary file beside `path` and renames it, so that `path` is either whole or untouched.
/// Throws InputError naming `path` when that fails; the temporary file is removed.
void write_file_atomically(const std::string& path, std::string_view contents);

}  // namespace gabra
