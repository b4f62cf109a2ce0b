// SPDX-License-Identifier: MIT
#include "progress_bar.hpp"

#include "gabra/exec/mpi_world.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace gabra::exec {
namespace {

constexpr std::int64_t kWidth = 20;
constexpr double kPause = 0.1;  // seconds between two pictures

bool has_terminal() {
  const char* given = std::getenv("GABRA_PROGRESS");
  return given != nullptr ? std::strcmp(given, "1") == 0 : ::isatty(STDERR_FILENO) != 0;
}

std::string duration(double seconds) {
  if (seconds < 90.0) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400.0) return fmt::format("{:.0f} min", seconds / 60.0);
  return fmt::format("{:.1f} h", seconds / 3600.0);
}

}  // namespace

ProgressBar::ProgressBar(bool is_wanted, std::string samples_name)
    : is_shown_(is_wanted && has_terminal()), samples_name_(std::move(samples_name)) {}

std::string to_text(const ProgressBar::State& state, const std::string& samples_name) {
  const auto filled = static_cast<std::size_t>(kWidth * state.step / state.steps);
  return fmt::format("epoch {}/{} [{}{}] step {}/{}, loss {:.4f}, {:.3g} {}/s, {} left", state.epoch, state.epochs,
                     std::string(filled, '#'), std::string(static_cast<std::size_t>(kWidth) - filled, ' '), state.step,
                     state.steps, state.loss, state.samples_per_s, samples_name, duration(state.seconds_left));
}

void ProgressBar::show(const State& state) {
  const double now = monotonic_seconds();
  if (!is_shown_ || (now - last_shown_ < kPause && state.step < state.steps)) return;
  last_shown_ = now;
  fmt::print(stderr, "\r\033[K{}", to_text(state, samples_name_));
  std::fflush(stderr);
  has_line_ = true;
}

void ProgressBar::clear() {
  if (has_line_) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  has_line_ = false;
}

}  // namespace gabra::exec
