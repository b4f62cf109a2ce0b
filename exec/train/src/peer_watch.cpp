// SPDX-License-Identifier: MIT
#include "gabra/exec/peer_watch.hpp"

#include "gabra/exec/monitor.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace gabra::exec {
namespace {

constexpr int kPatienceMilliseconds = 3000;  // mpirun has ended all ranks long before

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// When the process began, in ticks since the start of the machine: with the number, it means one process only. Empty
/// where there is none, or none that this one can see.
std::string begin_of(int process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  constexpr int kFieldsAfterName = 19;  // "pid (name) state ppid ... starttime", the name with any characters
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string field;
  for (int i = 0; i <= kFieldsAfterName; ++i) fields >> field;
  return fields ? field : "";
}

/// Processes with the same one see each other by the same numbers.
std::string number_space() {
  std::error_code error;
  return host_name() + " " + std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
}

std::string own_line() { return fmt::format("{}\n{}\n{}", number_space(), ::getpid(), begin_of(::getpid())); }

struct Line {
  std::string space, begin;
  int process = 0;
};
Line parse_line(const std::string& text) {
  std::istringstream lines(text);
  Line line;
  std::string process;
  std::getline(lines, line.space);
  std::getline(lines, process);
  std::getline(lines, line.begin);
  line.process = std::atoi(process.c_str());
  return line;
}

}  // namespace

PeerWatch::PeerWatch(const MpiWorld& world, std::string name) : name_(std::move(name)), host_(host_name()) {
  // All lines to all ranks: small, once.
  const std::string own = own_line();
  std::vector<std::string> lines;
  for (int rank = 0; rank < world.size(); ++rank) lines.push_back(world.broadcast(own, rank));
  for (int rank = 0; rank < world.size(); ++rank) {
    const Line line = parse_line(lines[static_cast<std::size_t>(rank)]);
    if (rank == world.rank() || line.space != number_space()) continue;
    // glibc has no pidfd_open() before 2.36.
    const int file = static_cast<int>(::syscall(SYS_pidfd_open, line.process, 0));
    if (file < 0) continue;  // an old kernel; or dead already, which the next collective finds
    if (begin_of(line.process) == line.begin)
      peers_.push_back({rank, line.process, file});
    else
      ::close(file);
  }
  end_file_ = ::eventfd(0, EFD_CLOEXEC);
  if (!peers_.empty() && end_file_ >= 0) thread_ = std::thread([this] { run(); });
}

PeerWatch::~PeerWatch() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(end_file_, &one, sizeof one);
    thread_.join();
  }
  for (const Peer& peer : peers_) ::close(peer.file);
  if (end_file_ >= 0) ::close(end_file_);
}

void PeerWatch::run() {
  std::vector<pollfd> files{{end_file_, POLLIN, 0}};
  for (const Peer& peer : peers_) files.push_back({peer.file, POLLIN, 0});
  while (true) {
    if (::poll(files.data(), files.size(), -1) < 0) continue;
    if (files.front().revents != 0) return;
    for (std::size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents == 0) continue;
      // Whoever started the ranks may be about to end them, with a better reason.
      pollfd end{end_file_, POLLIN, 0};
      if (::poll(&end, 1, kPatienceMilliseconds) != 0) return;
      stop(peers_[i - 1]);
    }
  }
}

void PeerWatch::stop(const Peer& peer) const {
  const std::string text =
      fmt::format("gabra-exec: {}: rank {} on {} (process {}) has ended, and nothing stopped the others\n", name_,
                  peer.rank, host_, peer.process);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  MpiWorld::abort(kStoppedStatus);
}

}  // namespace gabra::exec
