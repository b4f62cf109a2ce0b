// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/volume.hpp"

#include <cstdint>
#include <span>

namespace gabra::data {

/// How a scan becomes a network's input.
struct PreprocessSettings {
  Extent extent{48, 48, 48};  ///< of the network's input
  /// Millimetres per voxel of the result; 0: the largest scale at which the scan's whole field of view fits.
  double voxel_mm = 0.0;
  double low_percentile = 0.5;  ///< intensities of the foreground are cut off below and above
  double high_percentile = 99.5;
};

/// The same scale along all axes (shapes are not distorted), the centre of the field of view in the centre of the
/// result. Separable: trilinear where the result is finer, a triangle over the result's voxel size where it is coarser
/// (anti-aliasing). Outside the field of view: 0. The affine follows.
[[nodiscard]] Volume resample(const Volume& volume, const Extent& extent, double voxel_mm);

/// Foreground = voxels that are not 0 (above a millionth of the largest). Cut off at the foreground's percentiles, then
/// mean 0 and deviation 1 in the foreground; the rest stays 0. Returns false, voxels unchanged, if the foreground has
/// no spread.
[[nodiscard]] bool normalize(std::span<float> voxels, const PreprocessSettings& settings);

/// resample(), then normalize(). `place` names the scan in the InputError for a scan without spread.
[[nodiscard]] Volume preprocess(const Volume& volume, const PreprocessSettings& settings, const std::string& place);

/// Random changes of training samples; none by default.
struct Augmentation {
  bool flips = false;          ///< left and right exchanged in half of the samples
  std::int64_t max_shift = 0;  ///< whole voxels along each axis, uniform in [-max_shift, max_shift]; 0 moves in
};

/// What is done to one sample.
struct Transform {
  bool flips = false;
  std::array<std::int64_t, 3> shift{};

  bool operator==(const Transform&) const = default;
};

/// Keyed by (seed, epoch, sample) alone: the same on every rank, for every plan.
[[nodiscard]] Transform draw_transform(const Augmentation& augmentation, std::uint64_t seed, std::int64_t epoch,
                                       std::uint64_t sample_key);

/// Writes the transformed `from` to `to` (both `extent`, not overlapping): flipped, then shifted.
void apply_transform(const Transform& transform, const Extent& extent, std::span<const float> from,
                     std::span<float> to);

}  // namespace gabra::data
