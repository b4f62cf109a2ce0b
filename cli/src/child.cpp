// SPDX-License-Identifier: MIT
#include "child.hpp"

#include "gabra/core/error.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace gabra::cli {
namespace {

constexpr std::array kHandedOn{SIGINT, SIGTERM, SIGHUP};

// A signal handler can reach nothing else.
volatile std::sig_atomic_t child_id = 0;
volatile std::sig_atomic_t received = 0;

void hand_on(int signal) {
  const int saved = errno;
  if (child_id > 0) ::kill(received == 0 ? child_id : -child_id, received == 0 ? SIGTERM : SIGKILL);
  received = signal;
  errno = saved;
}

/// Handlers while a child runs; the former ones come back at the end.
class HandedOnSignals {
 public:
  HandedOnSignals() {
    struct sigaction action = {};
    action.sa_handler = &hand_on;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < kHandedOn.size(); ++i) sigaction(kHandedOn[i], &action, &former_[i]);
  }
  HandedOnSignals(const HandedOnSignals&) = delete;
  HandedOnSignals& operator=(const HandedOnSignals&) = delete;
  ~HandedOnSignals() {
    for (std::size_t i = 0; i < kHandedOn.size(); ++i) sigaction(kHandedOn[i], &former_[i], nullptr);
  }

 private:
  std::array<struct sigaction, kHandedOn.size()> former_{};
};

/// In the child. Reports why exec failed through `report`, which exec closes.
[[noreturn]] void become(const std::vector<char*>& words, pid_t parent, int report) {
  for (const int signal : kHandedOn) ::signal(signal, SIG_DFL);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // it ended before prctl()
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(in, STDIN_FILENO);
  ::execvp(words.front(), words.data());
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(report, &reason, sizeof reason);
  ::_exit(127);
}

pid_t start(const std::vector<std::string>& words) {
  std::vector<std::string> copies = words;
  std::vector<char*> pointers;
  for (std::string& word : copies) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  std::array<int, 2> report{};
  if (::pipe2(report.data(), O_CLOEXEC) != 0)
    throw_input_error(words.front(), std::strerror(errno), "a system with a free file descriptor");
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(pointers, parent, report[1]);
  const int fork_error = errno;
  ::close(report[1]);
  int reason = 0;
  const bool has_failed = child < 0 || ::read(report[0], &reason, sizeof reason) == sizeof reason;
  ::close(report[0]);
  if (!has_failed) return child;
  if (child > 0) ::waitpid(child, nullptr, 0);
  throw_input_error(words.front(),
                    std::string("a program that cannot be started: ") + std::strerror(child < 0 ? fork_error : reason),
                    "the program of an MPI library (openmpi-bin) in PATH");
}

}  // namespace

ChildEnd run_child(const std::vector<std::string>& words) {
  received = 0;
  child_id = 0;
  const HandedOnSignals signals;
  const pid_t child = start(words);
  child_id = child;
  if (received != 0) ::kill(child, SIGTERM);  // came before there was a child to hand it to
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  child_id = 0;
  ::kill(-child, SIGKILL);
  ChildEnd end;
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  end.interrupted_by = received;
  return end;
}

}  // namespace gabra::cli
