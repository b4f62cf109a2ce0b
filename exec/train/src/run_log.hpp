// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/json/reader.hpp"

#include <cstdint>
#include <string>

namespace gabra::exec {

/// The gabra/log/1 file (docs/formats.md): one JSON object per line, on disk line by line. Nothing is written when the
/// path is empty.
class RunLog {
 public:
  /// `done_steps` > 0: goes on with the file of an interrupted run, without its lines about later steps. Throws Error.
  RunLog(std::string path, std::int64_t done_steps);
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
  ~RunLog();

  /// Throws Error when it cannot be written.
  void write(const json::Value& line);

 private:
  std::string path_;
  int file_ = -1;
};

}  // namespace gabra::exec
