// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::data {

/// A NIfTI file as a test wants it, right or wrong: nothing is checked. Written without the libraries that the reader
/// uses, from the standard's table of offsets.
struct NiftiFile {
  int version = 1;
  std::vector<std::int64_t> dim{3, 5, 6, 7};  ///< dim[0] and what follows
  int datatype = 16;     ///< 2 uint8, 4 int16, 8 int32, 16 float32, 64 float64, 256 int8, 512 uint16,
                         ///< 768 uint32, 1024 int64, 1280 uint64
  int bits = 0;          ///< 0: the datatype's
  double offset = -1.0;  ///< of the voxels; -1: right behind the header
  double slope = 0.0;
  double intercept = 0.0;
  int qform_code = 0;
  std::array<double, 3> quaternion{};  ///< b, c, d
  std::array<double, 3> qoffset{};
  int sform_code = 0;
  std::array<std::array<double, 4>, 3> srow{};
  std::array<double, 4> pixdim{1.0, 1.0, 1.0, 1.0};  ///< qfac first
  std::string magic = "n+1";                         ///< of version 1
  bool is_swapped = false;                           ///< written in the other byte order
  std::vector<double> values{};                      ///< stored numbers, first axis fastest
};

/// 0, 1, 2, ... for each voxel of 5x6x7.
[[nodiscard]] std::vector<double> counting(std::int64_t count);

[[nodiscard]] std::string to_bytes(const NiftiFile& file);
[[nodiscard]] std::string gzipped(const std::string& bytes);
/// Replaces the file.
void write_bytes(const std::string& path, const std::string& bytes);

/// A folder that is removed in the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A BIDS-like folder of small noisy images in which the second class has a bright corner: `per_class` people of each
/// of `groups`, named sub-000 on, `size` voxels a side.
void write_toy_cohort(const std::string& directory, const std::vector<std::string>& groups, int per_class,
                      std::int64_t size, std::uint64_t seed);

}  // namespace gabra::data
