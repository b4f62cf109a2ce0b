// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace gabra::cli {
namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t interrupted = 0;

void interrupt(int) { interrupted = 1; }

}  // namespace

Progress::Progress(bool is_wanted) : is_shown_(is_wanted && ::isatty(STDERR_FILENO) != 0) {
  struct sigaction action = {};
  action.sa_handler = &interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Progress::is_interrupted() { return interrupted != 0; }

void Progress::show(std::int64_t generation, std::int64_t evaluations, Seconds best) {
  show(fmt::format("generation {}, {} plans simulated, best {}", generation, evaluations,
                   best.value() > 0.0 ? to_text(best) : "none yet"));
}

void Progress::show_measured(std::int64_t plans, Seconds best) {
  show(fmt::format("{} plans measured, best {}", plans, best.value() > 0.0 ? to_text(best) : "none yet"));
}

void Progress::show(const std::string& line) {
  if (!is_shown_) return;
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  has_line_ = true;
}

void Progress::clear() {
  if (has_line_) fmt::print(stderr, "\r\033[K");
  has_line_ = false;
}

}  // namespace gabra::cli
