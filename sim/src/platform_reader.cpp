// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/sim/platform.hpp"

#include "child_process.hpp"
#include "platform_graph.hpp"
#include "platform_loader.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace gabra::sim {
namespace {

constexpr std::chrono::seconds kTimeout{30};
constexpr std::string_view kAllowed = "a SimGrid platform file (XML)";

// An answer is a cluster as JSON, or faults: their texts, each ended by a character that no JSON begins with.
constexpr char kEnd = '\x1f';

std::string pack(const std::vector<Fault>& faults) {
  std::string text(1, kEnd);
  for (const Fault& fault : faults) text += fault.where + kEnd + fault.seen + kEnd + fault.allowed + kEnd;
  return text;
}

std::vector<Fault> unpack(std::string_view text) {
  std::vector<std::string> parts;
  for (text.remove_prefix(1); !text.empty();) {
    const std::size_t end = text.find(kEnd);
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  std::vector<Fault> faults;
  for (std::size_t i = 0; i + 2 < parts.size(); i += 3) faults.push_back({parts[i], parts[i + 1], parts[i + 2]});
  return faults;
}

std::string answer(const std::string& path) {
  try {
    return to_json_text(to_cluster(load_platform_file(path), path));
  } catch (const InputError& error) {
    return pack(error.faults());
  }
}

/// SimGrid's message for people: the first lines, without the prefix of its log and what follows about itself.
std::string tidy(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  if (const std::size_t bracket = message.find("] "); message.starts_with('[') && bracket != std::string::npos) {
    const std::size_t second = message.find("] ", bracket + 2);
    message.erase(0, (second != std::string::npos && second < 200 ? second : bracket) + 2);
  }
  constexpr std::size_t kMostMessage = 300;
  if (message.size() > kMostMessage) message = message.substr(0, kMostMessage) + "...";
  while (!message.empty() && message.back() == ' ') message.pop_back();
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return message.empty() ? "its loader crashed" : message;
}

void check_text(const std::string& path) {
  const std::string text = read_file(path);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  std::string_view start = std::string_view(text).substr(std::min(first, text.size()));
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
  if (!start.starts_with('<') || text.find('\0') != std::string::npos) {
    throw_input_error(path, "a file that is not XML", std::string(kAllowed));
  }
  // SimGrid would run these as programs.
  if (path.ends_with(".so") || path.ends_with(".dylib")) {
    throw_input_error(path, "the name of a shared library", std::string(kAllowed));
  }
}

}  // namespace

Cluster read_platform(const std::string& path) {
  check_text(path);
  const ChildOutcome outcome = run_in_child([&path] { return answer(path); }, kTimeout);
  switch (outcome.kind) {
    case ChildOutcome::Kind::Done:
      break;
    case ChildOutcome::Kind::TimedOut:
      throw_input_error(path, "a file that SimGrid did not finish reading within 30 s", std::string(kAllowed));
    case ChildOutcome::Kind::Failed:
    case ChildOutcome::Kind::Crashed:
      throw_input_error(path, "SimGrid: " + tidy(outcome.text), std::string(kAllowed));
  }
  if (outcome.text.starts_with(kEnd)) throw InputError(unpack(outcome.text));
  return parse_cluster(outcome.text, path);
}

}  // namespace gabra::sim
