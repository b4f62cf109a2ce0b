// SPDX-License-Identifier: MIT
#include "gabra/core/file.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace gabra {
namespace {

constexpr const char* kAllowedFile = "a readable file of at most 64 MiB";

[[noreturn]] void write_failed(const std::string& path, const std::string& temporary) {
  const std::string reason = std::strerror(errno);
  std::remove(temporary.c_str());
  throw_input_error(path, "a path that cannot be written: " + reason, "a writable path");
}

}  // namespace

std::string read_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::none)
    throw_input_error(path, "a file that cannot be read: " + error.message(), kAllowedFile);
  if (!std::filesystem::exists(status)) throw_input_error(path, "no such file", kAllowedFile);
  if (std::filesystem::is_directory(status)) throw_input_error(path, "a directory", kAllowedFile);
  if (std::filesystem::is_regular_file(status)) {
    const auto size = std::filesystem::file_size(path, error);
    if (!error && size > static_cast<std::uintmax_t>(kMostFileBytes))
      throw_input_error(path, fmt::format("a file of {} bytes", size), kAllowedFile);
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw_input_error(path, std::string("a file that cannot be read: ") + std::strerror(errno), kAllowedFile);
  std::string contents;
  // Pipes and devices have no size beforehand: read in pieces and stop above the limit.
  std::string piece(std::size_t{1} << 16U, '\0');
  while (stream.read(piece.data(), static_cast<std::streamsize>(piece.size())), stream.gcount() > 0) {
    contents.append(piece, 0, static_cast<std::size_t>(stream.gcount()));
    if (contents.size() > static_cast<std::size_t>(kMostFileBytes))
      throw_input_error(path, "more than 64 MiB", kAllowedFile);
  }
  if (stream.bad()) throw_input_error(path, "a file that cannot be read to its end", kAllowedFile);
  return contents;
}

void write_file_atomically(const std::string& path, std::string_view contents) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status)) throw_input_error(path, "a directory", "a path of a file to write");
  // Devices and pipes (/dev/stdout) are written in place: a rename would replace them.
  const bool in_place = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
  // A rename would replace a link too, so the file that it points at is written.
  const bool is_link = std::filesystem::is_symlink(path, error) && std::filesystem::is_regular_file(status);
  const std::string destination = is_link ? std::filesystem::canonical(path, error).string() : path;
  const std::string target = in_place ? path : fmt::format("{}.{}.tmp", destination, ::getpid());
  std::FILE* file = std::fopen(target.c_str(), "wb");
  if (file == nullptr) {
    const std::string reason = std::strerror(errno);
    throw_input_error(path, "a path that cannot be written: " + reason, "a writable path");
  }
  const bool is_whole = std::fwrite(contents.data(), 1, contents.size(), file) == contents.size();
  const bool is_closed = std::fclose(file) == 0;
  if (in_place) {
    if (!is_whole || !is_closed) throw_input_error(path, "a write that failed", "a writable path");
    return;
  }
  if (!is_whole || !is_closed) write_failed(path, target);
  if (std::rename(target.c_str(), destination.c_str()) != 0) write_failed(path, target);
}

}  // namespace gabra
