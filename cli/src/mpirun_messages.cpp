// SPDX-License-Identifier: MIT
#include "mpirun_messages.hpp"

#include <fmt/format.h>

#include <regex>
#include <utility>

namespace gabra::cli {
namespace {

constexpr std::size_t kShortestEdge = 40;

bool may_be_edge(std::string_view line) { return line.find_first_not_of("-\n") == std::string_view::npos; }
bool is_edge(std::string_view line) { return line.size() > kShortestEdge && may_be_edge(line); }

/// Frames that say what the ranks, or gabra, say better.
bool is_left_out(const std::string& frame) {
  for (const char* text :
       {"Primary job", "MPI_ABORT was invoked", "exited with non-zero status", "noticed that process rank",
        "not enough slots available", "unable to reliably start one or more"})
    if (frame.find(text) != std::string::npos) return true;
  return false;
}

bool may_be_inner_line(std::string_view line) {
  return line.starts_with('[') && line.find('\r') == std::string_view::npos;
}

/// What mpirun says about its own parts when they end: nothing to people.
bool is_inner_line(const std::string& line) {
  if (!line.starts_with('[') || line.find("] ") == std::string::npos) return false;
  for (const char* text :
       {"ORTE_ERROR_LOG", "more process has sent help message", "more processes have sent help message",
        "Set MCA parameter", "] Read -1, expected", "mpirun: SIGPIPE"})
    if (line.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace

std::string MpirunMessages::pass(std::string_view piece) {
  std::string out;
  for (const char c : piece) {
    line_ += c;
    if (c != '\n') continue;
    const std::string line = std::exchange(line_, {});
    if (is_edge(line)) {
      if (is_in_frame_) {
        frame_ += line;
        out += end_frame();
      } else {
        is_in_frame_ = true;
        frame_ = line;
      }
    } else if (is_in_frame_) {
      frame_ += line;
    } else if (!is_inner_line(line)) {
      out += line;
    }
  }
  // A progress bar has no end of line.
  if (!is_in_frame_ && !may_be_edge(line_) && !may_be_inner_line(line_)) out += std::exchange(line_, {});
  return out;
}

std::string MpirunMessages::end_frame() {
  is_in_frame_ = false;
  const std::string frame = std::exchange(frame_, {});
  static const std::regex ended(
      "process rank ([0-9]+) with PID [0-9]+ on node (\\S+) exited\\s+on signal ([0-9]+) \\(([^)]*)\\)");
  if (std::smatch match; std::regex_search(frame, match, ended))
    ended_rank_ = fmt::format("rank {} on {} was ended by signal {} ({})", match[1].str(), match[2].str(),
                              match[3].str(), match[4].str());
  if (frame.find("not enough slots available") != std::string::npos) lacks_slots_ = true;
  if (frame.find("unable to reliably start one or more daemons") != std::string::npos) cannot_start_ = true;
  if (frame.find("lost communication with a remote daemon") != std::string::npos) has_lost_machine_ = true;
  return is_left_out(frame) ? "" : frame;
}

std::string MpirunMessages::rest() { return std::exchange(frame_, {}) + std::exchange(line_, {}); }

}  // namespace gabra::cli
