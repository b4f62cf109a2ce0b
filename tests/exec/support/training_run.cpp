// SPDX-License-Identifier: MIT
#include "training_run.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

namespace gabra::test {
namespace {

using Clock = std::chrono::steady_clock;

/// Parent and state of a process from /proc/PID/stat: "pid (name) state parent ...".
struct ProcessStat {
  char state = 'Z';
  pid_t parent = 0;
};

ProcessStat stat_of(pid_t process) {
  const std::string text = read_text("/proc/" + std::to_string(process) + "/stat");
  const std::size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return {};
  return {text[name_end + 2], static_cast<pid_t>(std::atoi(text.c_str() + name_end + 4))};
}

/// The value of a variable in a process's environment.
std::string variable(pid_t process, const std::string& name) {
  const std::string all = read_text("/proc/" + std::to_string(process) + "/environ");
  const std::string wanted = '\0' + name + "=";
  const std::size_t found = all.find(wanted);
  return found == std::string::npos ? "" : std::string(all.c_str() + found + wanted.size());
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos) result.push_back(std::atoi(name.c_str()));
  }
  return result;
}

bool descends_from(pid_t process, pid_t ancestor) {
  for (int depth = 0; depth < 10 && process > 1; ++depth) {
    if (process == ancestor) return true;
    process = stat_of(process).parent;
  }
  return false;
}

}  // namespace

bool is_alive(pid_t process) {
  return std::filesystem::exists("/proc/" + std::to_string(process)) && stat_of(process).state != 'Z';
}

bool stop_process(pid_t process) {
  ::kill(process, SIGSTOP);
  while (is_alive(process)) {
    if (stat_of(process).state == 'T') return true;
    std::this_thread::yield();
  }
  return false;
}

bool has_begun(pid_t process) {
  const std::string status = read_text("/proc/" + std::to_string(process) + "/status");
  const std::size_t blocked = status.find("SigBlk:");
  if (blocked == std::string::npos) return false;
  return (std::strtoull(status.c_str() + blocked + 7, nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
}

bool has_open(pid_t process, const std::string& path) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", error))
    if (std::filesystem::read_symlink(entry.path(), error) == path) return true;
  return false;
}

std::size_t line_count(const std::string& path) {
  const std::string text = read_text(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TrainingRun::TrainingRun(const std::vector<std::string>& arguments, const std::string& folder)
    : TrainingRun(GABRA_COMMAND, arguments, folder) {}

TrainingRun::TrainingRun(const std::string& program, const std::vector<std::string>& arguments,
                         const std::string& folder) {
  std::vector<std::string> words = arguments;
  std::string name = program;
  std::vector<char*> pointers{name.data()};
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const std::string out = streams_.file("out");
  const std::string err = streams_.file("err");
  id_ = ::fork();
  if (id_ != 0) return;
  ::dup2(::open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), STDERR_FILENO);
  if (::chdir(folder.c_str()) != 0) ::_exit(126);
  ::execvp(program.c_str(), pointers.data());
  ::_exit(127);
}

TrainingRun::~TrainingRun() {
  if (status_) return;
  for (const pid_t rank : ranks()) ::kill(rank, SIGKILL);
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
}

std::vector<pid_t> TrainingRun::ranks() const {
  std::map<int, pid_t> by_rank;
  for (const pid_t process : all_processes()) {
    if (read_text("/proc/" + std::to_string(process) + "/comm") != "gabra-exec\n" || !descends_from(process, id_))
      continue;
    const std::string rank = variable(process, "OMPI_COMM_WORLD_RANK");
    if (!rank.empty()) by_rank[std::atoi(rank.c_str())] = process;
  }
  std::vector<pid_t> result;
  for (const auto& [rank, process] : by_rank) result.push_back(process);
  return result;
}

std::vector<pid_t> TrainingRun::processes() const {
  std::vector<pid_t> result;
  for (const pid_t process : all_processes())
    if (descends_from(process, id_)) result.push_back(process);
  return result;
}

bool TrainingRun::wait_until(const std::function<bool()>& condition, double seconds) const {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::optional<Outcome> TrainingRun::wait(double seconds) {
  int status = 0;
  if (!wait_until([&] { return ::waitpid(id_, &status, WNOHANG) == id_; }, seconds)) return std::nullopt;
  status_ = status;
  Outcome outcome;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_text(streams_.file("out"));
  outcome.err = err();
  return outcome;
}

std::string TrainingRun::err() const { return read_text(streams_.file("err")); }

}  // namespace gabra::test
