// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"

#include <cstdint>
#include <string>

namespace gabra::cli {

/// A line on stderr while a search runs, when stderr is a terminal; and the first Ctrl-C (or SIGTERM), which asks the
/// search to end with the best plan so far. A second one ends the process at once.
class Progress {
 public:
  /// Catches the signals from here on.
  explicit Progress(bool is_wanted);

  [[nodiscard]] static bool is_interrupted();
  void show(std::int64_t generation, std::int64_t evaluations, Seconds best);
  void show_measured(std::int64_t plans, Seconds best);
  void show(const std::string& line);
  void clear();

 private:
  bool is_shown_;
  bool has_line_ = false;
};

}  // namespace gabra::cli
