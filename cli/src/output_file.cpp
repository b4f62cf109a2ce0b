// SPDX-License-Identifier: MIT
#include "output_file.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace gabra::cli {
namespace {

/// Why `path` cannot be written, or an empty text. Tries, because rights alone do not tell (read-only file systems).
std::string write_problem(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status)) return "a directory";
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    return ::access(path.c_str(), W_OK) == 0 ? "" : std::strerror(errno);
  const std::string probe = fmt::format("{}.{}.probe", path, ::getpid());
  std::FILE* file = std::fopen(probe.c_str(), "wb");
  if (file == nullptr) return std::strerror(errno);
  std::fclose(file);
  std::remove(probe.c_str());
  return "";
}

}  // namespace

OutputFile::OutputFile(FlagReader& flags, const std::string& flag) {
  path_ = flags.text(flag);
  if (!path_) return;
  if (!flags.claim_output(flag, *path_)) {
    path_.reset();
    return;
  }
  const std::string problem = write_problem(*path_);
  if (problem.empty()) return;
  flags.faults().add(flag, fmt::format("{}, which cannot be written: {}", in_quotes(*path_), problem),
                     "a path of a file that can be written");
  path_.reset();
}

void OutputFile::write(std::string_view contents) const {
  GABRA_CHECK(path_.has_value(), "only a given file is written");
  write_file_atomically(*path_, contents);
}

}  // namespace gabra::cli
