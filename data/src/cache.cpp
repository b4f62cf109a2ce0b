// SPDX-License-Identifier: MIT
#include "gabra/data/cache.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/hasher.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace gabra::data {
namespace {

constexpr std::uint32_t kFormatVersion = 1;  // to be raised whenever preprocessing gives other voxels

/// The beginning of a cache file; see docs/formats.md. Numbers are little-endian, as this machine's are.
struct Head {
  std::array<char, 8> magic{'g', 'a', 'b', 'r', 'a', 'v', 'o', 'l'};
  std::uint32_t version = kFormatVersion;
  std::uint32_t checksum = 0;  ///< CRC-32 of the voxels
  std::array<std::int64_t, 3> extent{};
  std::uint64_t key = 0;

  bool operator==(const Head&) const = default;
};
static_assert(sizeof(Head) == 48);

std::string absolute(const std::string& path) {
  std::error_code error;
  const auto result = std::filesystem::absolute(path, error);
  return error ? path : result.lexically_normal().string();
}

void add_settings(Hasher& hasher, const PreprocessSettings& settings) {
  for (const std::int64_t size : settings.extent) hasher.add(size);
  hasher.add(settings.voxel_mm);
  hasher.add(settings.low_percentile);
  hasher.add(settings.high_percentile);
}

/// Everything that decides what the file must hold. A source that is missing has a key too: reading it finds the fault.
std::uint64_t key_of(const std::string& source, const PreprocessSettings& settings) {
  struct stat status {};
  if (::stat(source.c_str(), &status) != 0) status = {};
  Hasher hasher;
  hasher.add(std::string_view(absolute(source)));
  hasher.add(std::int64_t{status.st_size});
  hasher.add(std::int64_t{status.st_mtim.tv_sec});
  hasher.add(std::int64_t{status.st_mtim.tv_nsec});
  add_settings(hasher, settings);
  hasher.add(std::uint64_t{kFormatVersion});
  return hasher.value();
}

std::uint32_t checksum_of(std::span<const float> voxels) {
  return static_cast<std::uint32_t>(
      ::crc32_z(::crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(voxels.data()), voxels.size_bytes()));
}

/// False unless the file is there, whole and made for `key`.
bool read_file_of(const std::string& path, const Extent& extent, std::uint64_t key, std::span<float> voxels) {
  std::ifstream stream(path, std::ios::binary);
  Head head;
  if (!stream.read(reinterpret_cast<char*>(&head), sizeof(head))) return false;
  if (head != Head{.checksum = head.checksum, .extent = extent, .key = key}) return false;
  if (!stream.read(reinterpret_cast<char*>(voxels.data()), static_cast<std::streamsize>(voxels.size_bytes())))
    return false;
  if (stream.peek() != std::ifstream::traits_type::eof()) return false;
  return head.checksum == checksum_of(voxels);
}

[[noreturn]] void write_failed(const std::string& directory, int code) {
  throw CacheError({{directory, std::string("a cache that cannot be written: ") + std::strerror(code),
                     "a folder that can be written, with room for the preprocessed scans"}});
}

bool write_all(int file, const void* data, std::size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t count = ::write(file, bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

/// Through a file of its own name, renamed when whole: whoever else writes the same scan writes the same bytes.
void write_file_of(const std::string& directory, const std::string& path, const Head& head,
                   std::span<const float> voxels) {
  std::string temporary = path + ".XXXXXX";
  const int file = ::mkstemp(temporary.data());
  if (file < 0) write_failed(directory, errno);
  bool is_written = ::fchmod(file, 0644) == 0 && write_all(file, &head, sizeof(head)) &&
                    write_all(file, voxels.data(), voxels.size_bytes());
  int code = errno;
  if (::close(file) != 0 && is_written) {
    is_written = false;
    code = errno;
  }
  if (is_written && std::rename(temporary.c_str(), path.c_str()) != 0) {
    is_written = false;
    code = errno;
  }
  if (is_written) return;
  ::unlink(temporary.c_str());
  write_failed(directory, code);
}

}  // namespace

VolumeCache::VolumeCache(std::string directory, const PreprocessSettings& settings)
    : directory_(std::move(directory)), settings_(settings) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  // Another rank may have been faster, which some systems report as an error.
  if (error && !std::filesystem::is_directory(directory_)) write_failed(directory_, error.value());
}

std::string VolumeCache::file_of(const std::string& source) const {
  Hasher hasher;
  hasher.add(std::string_view(absolute(source)));
  add_settings(hasher, settings_);
  std::string name = std::filesystem::path(source).filename().string();
  name = name.substr(0, std::min<std::size_t>(name.find(".nii"), 100));
  return (std::filesystem::path(directory_) / fmt::format("{}-{:016x}.vol", name, hasher.value())).string();
}

void VolumeCache::load(const std::string& source, std::span<float> voxels) const {
  GABRA_CHECK(static_cast<std::int64_t>(voxels.size()) == this->voxels(), "room for a volume");
  // The key is taken first: a source that changes meanwhile is read again the next time.
  const std::uint64_t key = key_of(source, settings_);
  const std::string path = file_of(source);
  if (read_file_of(path, settings_.extent, key, voxels)) return;
  const Volume volume = preprocess(read_nifti(source), settings_, source);
  std::copy(volume.voxels.begin(), volume.voxels.end(), voxels.begin());
  write_file_of(directory_, path, {.checksum = checksum_of(voxels), .extent = settings_.extent, .key = key}, voxels);
}

bool VolumeCache::ensure(const std::string& source) const {
  std::vector<float> room(static_cast<std::size_t>(voxels()));
  if (read_file_of(file_of(source), settings_.extent, key_of(source, settings_), room)) return false;
  load(source, room);
  return true;
}

std::string default_cache_directory(const std::string& data_directory) {
  return (std::filesystem::path(data_directory) / "derivatives" / "gabra").string();
}

CacheReport fill_cache(const VolumeCache& cache, std::span<const std::string> sources, std::size_t worker,
                       std::size_t workers, std::size_t threads) {
  GABRA_CHECK(worker < workers && threads > 0, "one of the workers");
  CacheReport report;
  std::exception_ptr failure;
  std::mutex mutex;
  std::atomic<std::size_t> next{worker};
  const auto work = [&] {
    for (std::size_t i = next.fetch_add(workers); i < sources.size(); i = next.fetch_add(workers)) {
      try {
        const bool is_built = cache.ensure(sources[i]);
        const std::scoped_lock lock(mutex);
        ++(is_built ? report.built : report.reused);
      } catch (const CacheError&) {
        const std::scoped_lock lock(mutex);
        failure = std::current_exception();
        next = sources.size();  // the others end too
      } catch (const InputError& error) {
        const std::scoped_lock lock(mutex);
        report.bad[sources[i]] = error.faults();
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
  return report;
}

}  // namespace gabra::data
