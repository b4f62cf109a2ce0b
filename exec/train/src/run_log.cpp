// SPDX-License-Identifier: MIT
#include "run_log.hpp"

#include "durable_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace gabra::exec {
namespace {

/// Lines about steps up to `done_steps`; half a line at the end, of a process that was killed, is dropped.
std::string lines_until(const std::string& path, std::int64_t done_steps) {
  std::ifstream stream(path);
  std::string kept;
  for (std::string line; std::getline(stream, line);) {
    const auto value = json::Value::parse(line, nullptr, false);
    if (!value.is_object() || !value.contains("step") || !value["step"].is_number_integer()) continue;
    if (value["step"].get<std::int64_t>() <= done_steps) kept += line + "\n";
  }
  return kept;
}

}  // namespace

RunLog::RunLog(std::string path, std::int64_t done_steps) : path_(std::move(path)) {
  if (path_.empty()) return;
  std::error_code error;
  const bool is_regular = std::filesystem::is_regular_file(path_, error);
  if (is_regular || !std::filesystem::exists(path_, error))
    write_durably(path_, is_regular && done_steps > 0 ? lines_until(path_, done_steps) : "");
  file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0) throw Error(fmt::format("{} could not be opened: {}", path_, std::strerror(errno)));
}

RunLog::~RunLog() {
  if (file_ >= 0) ::close(file_);
}

void RunLog::write(const json::Value& line) {
  if (file_ < 0) return;
  const std::string text = line.dump(-1, ' ', false, json::Value::error_handler_t::replace) + "\n";
  const ::ssize_t written = ::write(file_, text.data(), text.size());
  if (written != static_cast<::ssize_t>(text.size()))
    throw Error(fmt::format("{} could not be written: {}", path_, std::strerror(written < 0 ? errno : ENOSPC)));
}

}  // namespace gabra::exec
