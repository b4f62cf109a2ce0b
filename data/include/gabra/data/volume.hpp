// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::data {

/// Voxels along x, y, z.
using Extent = std::array<std::int64_t, 3>;

/// Rows of the 3x4 matrix that takes voxel indices (i, j, k, 1) to millimetres, x to the right, y to the front, z up.
using Affine = std::array<std::array<double, 4>, 3>;

/// Larger volumes are refused.
inline constexpr std::int64_t kMostVoxels = std::int64_t{1} << 30;
/// Smaller ones too: a head has more voxels than this along every axis.
inline constexpr std::int64_t kFewestVoxelsPerAxis = 4;

/// A three-dimensional image. Voxel (i, j, k) is at [(i ny + j) nz + k]: a tensor [nx, ny, nz], nibabel's index order.
struct Volume {
  Extent extent{};
  Affine affine{};
  std::vector<float> voxels{};
};

[[nodiscard]] constexpr std::int64_t voxel_count(const Extent& extent) { return extent[0] * extent[1] * extent[2]; }
/// "48x48x48".
[[nodiscard]] std::string to_text(const Extent& extent);
/// Millimetres between neighbours along each axis.
[[nodiscard]] std::array<double, 3> voxel_sizes(const Affine& affine);
[[nodiscard]] Affine identity_affine();

/// What the header of a NIfTI file says, after turning to RAS+.
struct VolumeHeader {
  Extent extent{};
  Affine affine{};
};

/// Reads a NIfTI-1 or NIfTI-2 file (.nii, .nii.gz) of any real datatype and byte order, with its slope and intercept,
/// three-dimensional or four-dimensional with one volume. Axes are permuted and flipped to RAS+ by the sform, else the
/// qform, else as stored; oblique volumes take the nearest axes, and `affine` keeps the angle.
///
/// Throws InputError naming `path` and what was seen: missing, no NIfTI file, truncated or damaged gzip, header and
/// file length that differ, dimensions (not 3-D, above kMostVoxels, an axis below kFewestVoxelsPerAxis), a datatype
/// that is not a real number, voxels that are not finite, all voxels equal. Memory is bounded by the file's size.
/// Thread-safe.
[[nodiscard]] Volume read_nifti(const std::string& path);
/// The header alone, with the faults that it shows.
[[nodiscard]] VolumeHeader read_nifti_header(const std::string& path);

/// Writes float32 with the affine as sform; gzip for names that end in ".gz". Equal volumes give equal bytes; `path` is
/// either whole or untouched. Throws InputError naming `path`.
void write_nifti(const std::string& path, const Volume& volume);

}  // namespace gabra::data
