// SPDX-License-Identifier: MIT
#include "spawn.hpp"

#include "gabra/core/error.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

namespace gabra::pool {
namespace {

[[noreturn]] void fail(const LineProcessOptions& options, int reason) {
  throw Error(in_quotes(options.words.front()) + " cannot be started: " + std::strerror(reason));
}

/// Ends that were not taken out are closed.
class Pipe {
 public:
  explicit Pipe(const LineProcessOptions& options) {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) fail(options, errno);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }

  [[nodiscard]] int read_end() const { return ends_[0]; }
  [[nodiscard]] int write_end() const { return ends_[1]; }
  void close_end(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }
  /// Non-blocking; the caller's to close.
  [[nodiscard]] int take(std::size_t end) {
    const int file = ends_[end];
    ends_[end] = -1;
    ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) | O_NONBLOCK);
    return file;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> merged_environment(const LineProcessOptions& options) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    bool is_replaced = false;
    for (const auto& [name, value] : options.environment) is_replaced = is_replaced || text.starts_with(name + "=");
    if (!is_replaced) result.push_back(text);
  }
  for (const auto& [name, value] : options.environment) result.push_back(name + "=" + value);
  return result;
}

/// What the child needs, made before fork(): after it only system calls are safe.
struct Preparation {
  char** words;
  char** environment;
  int input, output, error, report;
  int signal_at_parent_death;
  pid_t parent;
};

/// In the child. Reports why exec failed through `report`, which exec closes.
[[noreturn]] void become(const Preparation& preparation) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGXFSZ}) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, preparation.signal_at_parent_death);
  if (::getppid() != preparation.parent) ::_exit(1);  // it ended before prctl()
  ::dup2(preparation.input, STDIN_FILENO);
  ::dup2(preparation.output, STDOUT_FILENO);
  ::dup2(preparation.error, STDERR_FILENO);
  ::execvpe(preparation.words[0], preparation.words, preparation.environment);
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(preparation.report, &reason, sizeof reason);
  ::_exit(127);
}

/// Waits for exec; 0 when it succeeded.
int reason_of_failure(int report) {
  int reason = 0;
  ::ssize_t count = 0;
  do {
    count = ::read(report, &reason, sizeof reason);
  } while (count < 0 && errno == EINTR);
  return count == static_cast<::ssize_t>(sizeof reason) ? reason : 0;
}

}  // namespace

Spawned spawn(const LineProcessOptions& options) {
  std::vector<std::string> words = options.words;
  std::vector<std::string> environment = merged_environment(options);
  const std::vector<char*> word_pointers = pointers_to(words);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  Pipe input(options);
  Pipe output(options);
  Pipe error(options);
  Pipe report(options);
  const Preparation preparation{.words = const_cast<char**>(word_pointers.data()),
                                .environment = const_cast<char**>(environment_pointers.data()),
                                .input = input.read_end(),
                                .output = output.write_end(),
                                .error = error.write_end(),
                                .report = report.write_end(),
                                .signal_at_parent_death = options.signal_at_parent_death,
                                .parent = ::getpid()};
  const pid_t child = ::fork();
  if (child < 0) fail(options, errno);
  if (child == 0) become(preparation);
  ::setpgid(child, child);  // whoever comes first
  report.close_end(1);
  if (const int reason = reason_of_failure(report.read_end()); reason != 0) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    fail(options, reason);
  }
  return {.id = child, .input = input.take(1), .output = output.take(0), .error = error.take(0)};
}

}  // namespace gabra::pool
