// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gabra::exec {

/// A file that is written aside and takes its name only when it is whole and on disk. Without commit() nothing remains.
/// Errors are remembered, not thrown, until commit().
class DurableFile {
 public:
  explicit DurableFile(std::string path);
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  ~DurableFile();

  void write(const void* data, std::size_t size);
  /// fsync, rename, fsync of the folder. Throws Error naming the path and the reason.
  void commit();

  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t crc32() const { return crc32_; }

 private:
  [[noreturn]] void fail(int error);

  std::string path_;
  std::string temporary_;
  int file_ = -1;
  int error_ = 0;
  std::int64_t bytes_ = 0;
  std::uint32_t crc32_ = 0;
};

/// Suffix of files that are being written; what a killed process left is removed at the next start.
inline constexpr std::string_view kTemporarySuffix = ".partial";

void write_durably(const std::string& path, std::string_view contents);

}  // namespace gabra::exec
