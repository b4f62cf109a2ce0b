// SPDX-License-Identifier: MIT
#include "child.hpp"

#include "gabra/core/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

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

struct Pipe {
  int read_end;
  int write_end;
};

/// Closed by exec.
Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw_input_error(program, std::strerror(errno), "a system with a free file descriptor");
  return {ends[0], ends[1]};
}

/// Write ends of the child's standard output and error.
struct Outputs {
  int out, error;
};

/// In the child. Reports why exec failed through `report`, which exec closes.
[[noreturn]] void become(const std::vector<char*>& words, pid_t parent, int report, Outputs outputs) {
  for (const int signal : kHandedOn) ::signal(signal, SIG_DFL);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);  // it ended before prctl()
  const int in = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(in, STDIN_FILENO);
  ::dup2(outputs.out, STDOUT_FILENO);
  ::dup2(outputs.error, STDERR_FILENO);
  ::execvp(words.front(), words.data());
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(report, &reason, sizeof reason);
  ::_exit(127);
}

pid_t start(const std::vector<std::string>& words, Outputs outputs) {
  std::vector<std::string> copies = words;
  std::vector<char*> pointers;
  for (std::string& word : copies) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const Pipe report = make_pipe(words.front());
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(pointers, parent, report.write_end, outputs);
  const int fork_error = errno;
  ::close(report.write_end);
  int reason = 0;
  const bool has_failed = child < 0 || ::read(report.read_end, &reason, sizeof reason) == sizeof reason;
  ::close(report.read_end);
  if (!has_failed) return child;
  if (child > 0) ::waitpid(child, nullptr, 0);
  throw_input_error(words.front(),
                    std::string("a program that cannot be started: ") + std::strerror(child < 0 ? fork_error : reason),
                    "the program of an MPI library (openmpi-bin) in PATH");
}

bool write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const ::ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// One of the child's outputs and who gets it.
struct Reader {
  int file;
  std::function<void(std::string_view)> take;
};

/// Reads both until the child and all that it left behind have closed them, and closes them.
void read_until_both_end(const Reader& first, const Reader& second) {
  std::array<pollfd, 2> files{{{first.file, POLLIN, 0}, {second.file, POLLIN, 0}}};
  std::array<char, 4096> piece{};
  while (files[0].fd >= 0 || files[1].fd >= 0) {
    if (::poll(files.data(), files.size(), -1) < 0) continue;  // a signal
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (files[i].fd < 0 || files[i].revents == 0) continue;
      const ::ssize_t count = ::read(files[i].fd, piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count > 0) {
        (i == 0 ? first : second).take({piece.data(), static_cast<std::size_t>(count)});
        continue;
      }
      ::close(files[i].fd);
      files[i].fd = -1;
    }
  }
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  std::ifstream list("/proc/self/task/" + std::to_string(::gettid()) + "/children");
  for (pid_t process = 0; list >> process;) children.push_back(process);
  return children;
}

/// Waits for grandchildren that outlived their parent; kills them after a while.
void end_orphans() {
  constexpr int kRounds = 200;
  constexpr std::chrono::milliseconds kPause(10);
  for (int round = 0; ::waitpid(-1, nullptr, WNOHANG) >= 0 || errno == EINTR; ++round) {
    if (round >= kRounds)
      for (const pid_t process : own_children()) ::kill(process, SIGKILL);
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

ChildEnd run_child(const std::vector<std::string>& words, const std::function<void(std::string_view)>& print_error) {
  received = 0;
  child_id = 0;
  const HandedOnSignals signals;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what the child leaves behind becomes a child of this process
  const Pipe out = make_pipe(words.front());
  const Pipe error = make_pipe(words.front());
  const pid_t child = start(words, {out.write_end, error.write_end});
  ::close(out.write_end);
  ::close(error.write_end);
  child_id = child;
  if (received != 0) ::kill(child, SIGTERM);  // came before there was a child to hand it to
  ChildEnd end;
  const auto pass_on = [&end](std::string_view text) { end.has_lost_output |= !write_whole(STDOUT_FILENO, text); };
  read_until_both_end({out.read_end, pass_on}, {error.read_end, print_error});
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  child_id = 0;
  ::kill(-child, SIGKILL);
  end_orphans();
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  end.interrupted_by = received;
  return end;
}

}  // namespace gabra::cli
