// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/volume.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gabra::data {

inline constexpr std::size_t kNifti1HeaderBytes = 348;
inline constexpr std::size_t kNifti2HeaderBytes = 540;

/// A checked header: where the voxels of a NIfTI file are, how they are stored, and how to turn them to RAS+.
struct StoredImage {
  Extent stored{};          ///< voxels along the file's axes, the first one fastest
  std::int64_t offset = 0;  ///< of the voxels, in bytes of the uncompressed file
  int datatype = 0;         ///< NIFTI_TYPE_*
  std::int64_t voxel_bytes = 0;
  bool is_swapped = false;  ///< byte order is not this machine's
  double slope = 1.0;
  double intercept = 0.0;
  std::array<std::size_t, 3> target{};  ///< of each stored axis: which of x, y, z it becomes
  std::array<bool, 3> is_flipped{};     ///< and whether it runs against it
  VolumeHeader header;                  ///< after turning
};

/// `bytes` is the beginning of the file, up to kNifti2HeaderBytes. Throws InputError naming `path`.
[[nodiscard]] StoredImage parse_nifti_header(std::span<const unsigned char> bytes, const std::string& path);

}  // namespace gabra::data
