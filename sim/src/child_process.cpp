// SPDX-License-Identifier: MIT
#include "child_process.hpp"

#include "gabra/core/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <string_view>

namespace gabra::sim {
namespace {

constexpr char kDone = 'D';
constexpr char kFailed = 'F';

/// A pipe whose ends are closed when it goes.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) throw Error(std::string("no pipe: ") + std::strerror(errno));
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }

  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void close_end(std::size_t end) {
    if (ends_[end] >= 0) close(ends_[end]);
    ends_[end] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

void write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// In the child; does not return.
[[noreturn]] void serve(const std::function<std::string()>& work, const Pipe& result, const Pipe& messages) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM}) std::signal(signal, SIG_DFL);
  std::signal(SIGINT, SIG_IGN);  // the parent decides what Ctrl-C means
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  dup2(nowhere, STDOUT_FILENO);
  dup2(messages.writer(), STDERR_FILENO);
  std::string answer;
  try {
    answer = kDone + work();
  } catch (const std::exception& error) {
    answer = std::string(1, kFailed) + error.what();
  }
  write_all(result.writer(), answer);
  _exit(0);
}

/// Appends what `file` has to say; false at its end.
bool take(int file, std::string& text) {
  constexpr std::size_t kMostText = std::size_t{1} << 28;
  std::array<char, 65536> part{};
  const ssize_t count = read(file, part.data(), part.size());
  if (count < 0) return errno == EINTR;
  if (text.size() < kMostText) text.append(part.data(), static_cast<std::size_t>(count));
  return count > 0;
}

/// Reads both pipes to their ends; false when that took longer than `timeout`.
bool listen(const Pipe& result, const Pipe& messages, std::chrono::milliseconds timeout, std::string& answer,
            std::string& said) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::array<pollfd, 2> files{{{result.reader(), POLLIN, 0}, {messages.reader(), POLLIN, 0}}};
  while (files[0].fd >= 0 || files[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (poll(files.data(), files.size(), static_cast<int>(std::min<std::int64_t>(left.count(), 1000))) <= 0) continue;
    if (files[0].revents != 0 && !take(files[0].fd, answer)) files[0].fd = -1;
    if (files[1].revents != 0 && !take(files[1].fd, said)) files[1].fd = -1;
  }
  return true;
}

}  // namespace

ChildOutcome run_in_child(const std::function<std::string()>& work, std::chrono::milliseconds timeout) {
  Pipe result;
  Pipe messages;
  const pid_t child = fork();
  if (child < 0) throw Error(std::string("no child process: ") + std::strerror(errno));
  if (child == 0) serve(work, result, messages);
  result.close_end(1);
  messages.close_end(1);
  std::string answer;
  std::string said;
  const bool is_in_time = listen(result, messages, timeout, answer, said);
  if (!is_in_time) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!is_in_time) return {ChildOutcome::Kind::TimedOut, {}};
  if (answer.empty() || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return {ChildOutcome::Kind::Crashed, said};
  return {answer.front() == kDone ? ChildOutcome::Kind::Done : ChildOutcome::Kind::Failed, answer.substr(1)};
}

}  // namespace gabra::sim
