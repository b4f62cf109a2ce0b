// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/data/preprocess.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace gabra::data {

/// The cache, not a scan, is at fault: it cannot be written (full disk, no permission).
class CacheError : public InputError {
 public:
  using InputError::InputError;
};

/// Preprocessed scans on disk, one file per scan and setting (docs/formats.md). A file is used only if its key (path,
/// size and time of change of the source, settings, format) and its checksum are right, else it is made again. Files
/// are written aside and renamed: several threads, ranks and nodes may build the same one at once.
class VolumeCache {
 public:
  /// Makes `directory` if need be. Throws CacheError if that fails.
  VolumeCache(std::string directory, const PreprocessSettings& settings);

  [[nodiscard]] const PreprocessSettings& settings() const { return settings_; }
  [[nodiscard]] std::int64_t voxels() const { return voxel_count(settings_.extent); }

  /// Fills `voxels` (tensor [1, X, Y, Z]) with the preprocessed scan. Throws InputError for a bad scan, CacheError
  /// for a cache that cannot be written. Thread-safe.
  void load(const std::string& source, std::span<float> voxels) const;
  /// Makes the file if it is not there or not right. True if it was made.
  bool ensure(const std::string& source) const;
  /// Where the scan's file is.
  [[nodiscard]] std::string file_of(const std::string& source) const;

 private:
  std::string directory_;
  PreprocessSettings settings_;
};

/// DIR/derivatives/gabra: where the cache of a data folder is unless somebody says otherwise.
[[nodiscard]] std::string default_cache_directory(const std::string& data_directory);

/// What filling a cache found.
struct CacheReport {
  std::int64_t built = 0;
  std::int64_t reused = 0;
  std::map<std::string, std::vector<Fault>> bad;  ///< scans that cannot be used, by path
};

/// Fills the cache with every `workers`-th source from `worker` on (ranks share the work), in `threads` threads. Bad
/// scans are reported, not thrown; a cache that cannot be written is thrown (CacheError).
[[nodiscard]] CacheReport fill_cache(const VolumeCache& cache, std::span<const std::string> sources, std::size_t worker,
                                     std::size_t workers, std::size_t threads);

}  // namespace gabra::data
