// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace gabra::cli {

/// A file that a flag asks to write. Whether it can be written is checked when the flag is read, before any long work;
/// the file itself is written whole or not at all.
class OutputFile {
 public:
  /// Adds a fault when the flag is given and its file cannot be written, or another flag reads or writes it.
  OutputFile(FlagReader& flags, const std::string& flag);

  [[nodiscard]] explicit operator bool() const { return path_.has_value(); }
  [[nodiscard]] const std::string& path() const { return *path_; }
  /// Only if given. Throws InputError when it fails.
  void write(std::string_view contents) const;

 private:
  std::optional<std::string> path_;
};

}  // namespace gabra::cli
