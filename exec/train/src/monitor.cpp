// SPDX-License-Identifier: MIT
#include "gabra/exec/monitor.hpp"

#include "gabra/exec/mpi_world.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

namespace gabra::exec {
namespace {

constexpr std::int64_t kTickNanoseconds = 50'000'000;
constexpr std::chrono::milliseconds kPatience{500};  // half of what mpirun leaves between SIGTERM and SIGKILL

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

std::string text_of(const WaitNote& note) {
  std::array<char, WaitNote::kCapacity> text{};
  const std::size_t length = note.read(text);
  return {text.data(), length};
}

/// In one write, so that lines of several ranks do not mix.
void print_line(const std::string& line) {
  const std::string text = "gabra-exec: " + line + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

void block_stop_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void unblock_stop_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Monitor::Monitor(std::string name, double time_limit_s)
    : time_limit_s_(time_limit_s), name_(std::move(name)), thread_([this] { run(); }) {}

Monitor::~Monitor() {
  ends_ = true;
  thread_.join();
}

Monitor::Waiting::Waiting(Monitor& monitor, std::string_view what, Limit limit) : monitor_(monitor) {
  monitor_.own_note_.set(what);
  if (limit == Limit::Timed) monitor_.waiting_since_ = monotonic_seconds();
}

Monitor::Waiting::~Waiting() {
  monitor_.waiting_since_ = 0.0;
  monitor_.own_note_.clear();
}

void Monitor::set_name(std::string name) {
  const std::lock_guard lock(mutex_);
  name_ = std::move(name);
}

std::string Monitor::name() const {
  const std::lock_guard lock(mutex_);
  return name_;
}

void Monitor::watch(const WaitNote* note) {
  const std::lock_guard lock(mutex_);
  device_note_ = note;
}

std::string Monitor::waits_for() const {
  const std::lock_guard lock(mutex_);
  std::string text = device_note_ == nullptr ? "" : text_of(*device_note_);
  return text.empty() ? text_of(own_note_) : text;
}

void Monitor::run() {
  const sigset_t set = stop_signals();
  while (!ends_) {
    const timespec tick{0, kTickNanoseconds};
    const int signal = sigtimedwait(&set, nullptr, &tick);
    if (signal > 0) stop(signal);
    const double since = waiting_since_;
    if (since > 0.0 && monotonic_seconds() - since > time_limit_s_) {
      print_line(fmt::format("{}: waited {:.1f} s for {}: no answer", name(), monotonic_seconds() - since,
                             text_of(own_note_)));
      MpiWorld::abort(kStoppedStatus);
    }
  }
}

void Monitor::stop(int signal) const {
  std::string what = waits_for();
  for (std::chrono::milliseconds waited{0}; what.empty() && waited < kPatience;
       waited += std::chrono::milliseconds(10)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    what = waits_for();
  }
  print_line(fmt::format("{}: stopped by {} in step {}, {}", name(), signal == SIGTERM ? "SIGTERM" : "SIGINT",
                         step_.load(), what.empty() ? "while computing" : "while waiting for " + what));
  ::_exit(kStoppedStatus);
}

}  // namespace gabra::exec
