// SPDX-License-Identifier: MIT
#include "durable_file.hpp"

#include "gabra/core/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace gabra::exec {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 24U;

/// A rename is on disk only when the folder is.
void sync_folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

DurableFile::DurableFile(std::string path) : path_(std::move(path)), temporary_(path_ + std::string(kTemporarySuffix)) {
  file_ = ::open(temporary_.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) error_ = errno;
}

DurableFile::~DurableFile() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

void DurableFile::write(const void* data, std::size_t size) {
  const auto* from = static_cast<const unsigned char*>(data);
  bytes_ += static_cast<std::int64_t>(size);
  while (size > 0 && error_ == 0) {
    const std::size_t piece = std::min(size, kPiece);
    const ::ssize_t written = ::write(file_, from, piece);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      error_ = written < 0 ? errno : ENOSPC;
      return;
    }
    const auto count = static_cast<std::size_t>(written);
    crc32_ = static_cast<std::uint32_t>(::crc32(crc32_, from, static_cast<uInt>(count)));
    from += count;
    size -= count;
  }
}

void DurableFile::fail(int error) {
  throw Error(fmt::format("{} could not be written: {}", path_, std::strerror(error)));
}

void DurableFile::commit() {
  if (error_ == 0 && ::fsync(file_) != 0) error_ = errno;
  if (file_ >= 0 && error_ == 0) {
    const int closed = ::close(file_);
    file_ = -1;
    if (closed == 0 && std::rename(temporary_.c_str(), path_.c_str()) == 0) {
      sync_folder_of(path_);
      return;
    }
    error_ = errno;
    ::unlink(temporary_.c_str());
  }
  fail(error_);
}

void write_durably(const std::string& path, std::string_view contents) {
  DurableFile file(path);
  file.write(contents.data(), contents.size());
  file.commit();
}

}  // namespace gabra::exec
