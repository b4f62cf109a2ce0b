// SPDX-License-Identifier: MIT
#include "gabra/pool/line_process.hpp"

#include "gabra/core/check.hpp"
#include "spawn.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace gabra::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostErrorText = 8192;
// A dead child whose own children hold its pipes is noticed this late.
constexpr std::chrono::milliseconds kLongestPoll{100};
// From the end of its output to the end of a process that ends by itself.
constexpr std::chrono::milliseconds kPatienceAfterOutput{500};
// A process that waits for a device inside the kernel cannot be killed.
constexpr std::chrono::seconds kPatienceAfterKill{10};

/// Writing to a child that is gone must not raise SIGPIPE; what the program does with that signal is left alone.
class PipeSignalGuard {
 public:
  PipeSignalGuard() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &former_);
  }
  PipeSignalGuard(const PipeSignalGuard&) = delete;
  PipeSignalGuard& operator=(const PipeSignalGuard&) = delete;
  ~PipeSignalGuard() {
    if (!was_pending_) {
      const timespec at_once{};
      while (::sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &former_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t former_{};
  bool was_pending_ = false;
};

void close_file(int& file) {
  if (file >= 0) ::close(file);
  file = -1;
}

/// Appends all there is to read now; false at the end of the stream.
bool drain(int file, std::string& text, std::size_t most) {
  std::array<char, 65536> part;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by read()
  while (text.size() <= most) {
    const ::ssize_t count = ::read(file, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (count == 0) return false;
    text.append(part.data(), static_cast<std::size_t>(count));
    if (static_cast<std::size_t>(count) < part.size()) return true;
  }
  return true;
}

std::string reason_text(const siginfo_t& end) {
  if (end.si_code == CLD_EXITED) return "ended with status " + std::to_string(end.si_status);
  return "ended by signal " + std::to_string(end.si_status) + " (" + ::strsignal(end.si_status) + ")";
}

std::chrono::milliseconds left_until(Clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()) + std::chrono::milliseconds(1);
}

}  // namespace

LineProcess::LineProcess(LineProcessOptions options) : options_(std::move(options)) {
  GABRA_CHECK(!options_.words.empty(), "a process needs a program");
  const Spawned spawned = spawn(options_);
  id_ = spawned.id;
  input_ = spawned.input;
  output_ = spawned.output;
  error_ = spawned.error;
}

LineProcess::~LineProcess() { kill(); }

void LineProcess::send(std::string_view line) {
  send_later(line);
  flush();
}

void LineProcess::send_later(std::string_view line) {
  GABRA_CHECK(line.find('\n') == std::string_view::npos, "a line has no line break");
  if (has_ended() || is_input_to_close_) return;
  unsent_.append(line);
  unsent_ += '\n';
}

void LineProcess::flush() {
  if (!has_ended() && unsent_bytes() > 0) write_unsent();
}

void LineProcess::close_input() {
  is_input_to_close_ = true;
  write_unsent();
}

void LineProcess::write_unsent() {
  if (input_ >= 0 && sent_ < unsent_.size()) {
    const PipeSignalGuard guard;
    while (sent_ < unsent_.size()) {
      const ::ssize_t count = ::write(input_, unsent_.data() + sent_, unsent_.size() - sent_);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (count < 0) {  // nobody reads any more; what the child still says is read
        close_file(input_);
        break;
      }
      sent_ += static_cast<std::size_t>(count);
    }
  }
  if (input_ < 0 || sent_ == unsent_.size()) {
    unsent_.clear();
    sent_ = 0;
    if (is_input_to_close_) close_file(input_);
  }
}

bool LineProcess::has_line() const {
  const std::size_t found = received_.find('\n', scanned_);
  scanned_ = std::min(found, received_.size());
  return found != std::string::npos;
}

std::optional<std::string> LineProcess::take_line() {
  if (!has_line()) service();
  return take_read_line();
}

std::optional<std::string> LineProcess::take_read_line() {
  if (!has_line()) return std::nullopt;
  std::string line = received_.substr(taken_, scanned_ - taken_);
  taken_ = scanned_ + 1;
  scanned_ = taken_;
  if (taken_ > received_.size() / 2) {
    received_.erase(0, taken_);
    scanned_ = taken_ = 0;
  }
  return line;
}

std::optional<std::string> LineProcess::read_line(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  LineProcess* self = this;
  while (true) {
    if (auto line = take_line()) return line;
    if (has_ended() || Clock::now() >= end) return std::nullopt;
    wait_for_any({&self, 1}, left_until(end));
  }
}

bool LineProcess::wait_for_end(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (!has_ended()) {
    if (Clock::now() >= end) return false;
    std::array<pollfd, 2> files{{{output_, POLLIN, 0}, {error_, POLLIN, 0}}};
    ::poll(files.data(), files.size(), static_cast<int>(std::min(left_until(end), kLongestPoll).count()));
    service();
  }
  return true;
}

void LineProcess::kill() {
  if (has_ended()) return;
  ::kill(-id_, SIGKILL);
  const auto patience = Clock::now() + kPatienceAfterKill;
  for (notice_end(); !has_ended() && Clock::now() < patience; notice_end()) ::poll(nullptr, 0, 1);
  if (has_ended()) return;
  end_reason_ = "was killed and did not end within 10 s";
  close_all();
}

void LineProcess::read_output() {
  if (output_ < 0) return;
  if (!drain(output_, received_, options_.most_line_bytes)) {
    close_file(output_);
    const auto patience = Clock::now() + kPatienceAfterOutput;
    while (Clock::now() < patience) {
      notice_end();
      if (has_ended()) return;
      ::poll(nullptr, 0, 1);
    }
    kill();
    end_reason_ = "closed its output and ran on";
  } else if (received_.size() > options_.most_line_bytes && !has_line()) {
    kill();
    received_.clear();
    taken_ = scanned_ = 0;
    end_reason_ = "said a line of more than " + std::to_string(options_.most_line_bytes) + " bytes";
  }
}

void LineProcess::read_errors() {
  if (error_ < 0) return;
  const bool goes_on = drain(error_, error_text_, error_text_.size() + (std::size_t{1} << 20U));
  if (error_text_.size() > kMostErrorText) error_text_.erase(0, error_text_.size() - kMostErrorText);
  if (!goes_on) close_file(error_);
}

void LineProcess::notice_end() {
  if (has_ended()) return;
  siginfo_t end = {};
  if (::waitid(P_PID, static_cast<id_t>(id_), &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0) return;
  ::kill(-id_, SIGKILL);  // before its id is free again
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
  end_reason_ = reason_text(end);
  end_status_ = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
  if (output_ >= 0) (void)drain(output_, received_, options_.most_line_bytes);
  read_errors();
  close_all();
}

void LineProcess::close_all() {
  close_file(input_);
  close_file(output_);
  close_file(error_);
  unsent_.clear();
  sent_ = 0;
}

void LineProcess::service() {
  if (has_ended()) return;
  write_unsent();
  read_errors();
  read_output();
  notice_end();
}

void LineProcess::service(Ready ready) {
  if (has_ended()) return;
  if (ready.input) write_unsent();
  if (ready.error) read_errors();
  if (ready.output) read_output();
  const auto now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + kLongestPoll;
  notice_end();
}

void wait_for_any(std::span<LineProcess* const> processes, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  std::vector<pollfd> files;
  while (true) {
    files.clear();
    bool is_any_ready = false;
    for (const LineProcess* process : processes) {
      is_any_ready = is_any_ready || process->has_line() || process->has_ended();
      if (process->has_ended()) continue;
      files.push_back({process->output_, POLLIN, 0});
      files.push_back({process->error_, POLLIN, 0});
      if (process->unsent_bytes() > 0) files.push_back({process->input_, POLLOUT, 0});
    }
    const auto left = left_until(end);
    if (is_any_ready || left.count() <= 0) return;
    const int count = ::poll(files.data(), files.size(), static_cast<int>(std::min(left, kLongestPoll).count()));
    const bool is_interrupted = count < 0 && errno == EINTR;
    auto file = files.begin();
    const auto is_ready = [&](int number) {
      return file != files.end() && file->fd == number && (file++)->revents != 0;
    };
    for (LineProcess* process : processes) {
      if (process->has_ended()) continue;
      LineProcess::Ready ready;
      ready.output = is_ready(process->output_);
      ready.error = is_ready(process->error_);
      if (process->unsent_bytes() > 0) ready.input = is_ready(process->input_);
      process->service(ready);
    }
    if (is_interrupted) return;
  }
}

}  // namespace gabra::pool
