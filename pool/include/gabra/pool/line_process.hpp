// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gabra::pool {

/// What to start.
struct LineProcessOptions {
  std::vector<std::string> words{};                                ///< the program (searched in PATH) and its arguments
  std::vector<std::pair<std::string, std::string>> environment{};  ///< added to this process's, or replacing
  int signal_at_parent_death = SIGTERM;  ///< what the child gets when this process ends, however that happens
  std::size_t most_line_bytes = std::size_t{256} << 20U;  ///< a child that says more in one line is killed
};

/// A child process that is spoken to in lines, over its standard input and output. It leads a process group of its own,
/// so that Ctrl-C does not reach it and everything that it starts can be ended with it. Nothing here blocks but the
/// calls that take a limit. Not safe to use from several threads.
///
/// A child has ended when its process is gone or its output is closed; then the rest of its group is killed. Lines that
/// it wrote before can still be taken.
class LineProcess {
 public:
  /// Throws Error, naming the program, when it cannot be started.
  explicit LineProcess(LineProcessOptions options);
  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;
  /// Kills the process group if it has not ended.
  ~LineProcess();

  /// Hands over `line`, which has no line break. What the pipe does not take now is kept and written by wait_for_any()
  /// and the other calls that wait. Dropped when the child has ended.
  void send(std::string_view line);
  /// The same, but nothing is written before the next call of flush(), send() or one that waits: several lines in one.
  void send_later(std::string_view line);
  void flush();
  /// Bytes of send() that are not in the pipe yet.
  [[nodiscard]] std::size_t unsent_bytes() const { return unsent_.size() - sent_; }
  /// Lets the child see the end of its input, once all that was sent is written.
  void close_input();

  /// The next whole line, without its line break, if one has come.
  [[nodiscard]] std::optional<std::string> take_line();
  /// The next one of those that a call that waits has read.
  [[nodiscard]] std::optional<std::string> take_read_line();
  /// Waits for one. None: the child has ended and said no more, or the time is over.
  [[nodiscard]] std::optional<std::string> read_line(std::chrono::milliseconds limit);

  /// Waits for the end of the process; false when the time is over.
  [[nodiscard]] bool wait_for_end(std::chrono::milliseconds limit);
  /// Ends the whole process group with SIGKILL and waits for it.
  void kill();
  [[nodiscard]] bool has_ended() const { return !end_reason_.empty(); }
  /// "ended by signal 9 (Killed)", "ended with status 3"; empty while it runs.
  [[nodiscard]] const std::string& end_reason() const { return end_reason_; }
  /// The exit status; 128 + signal when a signal ended it. None while it runs.
  [[nodiscard]] std::optional<int> end_status() const { return end_status_; }
  /// The last 8 KiB of its standard error.
  [[nodiscard]] const std::string& error_text() const { return error_text_; }
  [[nodiscard]] pid_t id() const { return id_; }
  [[nodiscard]] const std::string& program() const { return options_.words.front(); }

 private:
  friend void wait_for_any(std::span<LineProcess* const> processes, std::chrono::milliseconds limit);

  /// Moves what can be moved between pipes and buffers now, and notices the end of the process.
  void service();
  struct Ready {
    bool input = false, output = false, error = false;
  };
  /// The same for pipes that poll() has found ready; an end that no pipe shows is looked for now and then.
  void service(Ready ready);
  void write_unsent();
  void read_output();
  void read_errors();
  void notice_end();
  void close_all();
  [[nodiscard]] bool has_line() const;

  LineProcessOptions options_;
  pid_t id_ = -1;
  int input_ = -1;   ///< write end
  int output_ = -1;  ///< read end
  int error_ = -1;   ///< read end
  bool is_input_to_close_ = false;
  std::string unsent_;
  std::size_t sent_ = 0;  ///< bytes of unsent_ that are written
  std::string received_;
  std::size_t taken_ = 0;            ///< bytes of received_ that were returned
  mutable std::size_t scanned_ = 0;  ///< bytes of received_ without a line break that was not returned
  std::string error_text_;
  std::string end_reason_;
  std::optional<int> end_status_;
  std::chrono::steady_clock::time_point next_look_{};  ///< for its end
};

/// Writes and reads for all of `processes` until one of them has a line to take or has ended, a signal comes, or the
/// time is over. Returns at once when one has a line already, or has ended; leave out those that are done with.
void wait_for_any(std::span<LineProcess* const> processes, std::chrono::milliseconds limit);

}  // namespace gabra::pool
