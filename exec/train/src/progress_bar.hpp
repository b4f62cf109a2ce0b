// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace gabra::exec {

/// One line on stderr: "epoch 2/20 [####      ] step 12/40, loss 0.5231, 22.1 volumes/s, 3 min left".
class ProgressBar {
 public:
  struct State {
    std::int64_t step = 0, steps = 1;
    std::int64_t epoch = 1, epochs = 1;
    double loss = 0.0;
    double samples_per_s = 0.0;
    double seconds_left = 0.0;
  };

  /// Shown where stderr is a terminal, or where GABRA_PROGRESS says that the terminal is behind mpirun.
  ProgressBar(bool is_wanted, std::string samples_name);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(const State& state);
  void clear();

 private:
  bool is_shown_;
  bool has_line_ = false;
  double last_shown_ = 0.0;
  std::string samples_name_;
};

[[nodiscard]] std::string to_text(const ProgressBar::State& state, const std::string& samples_name);

}  // namespace gabra::exec
