// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/volume.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::exec {

/// Pixels in rows from the top, red, green, blue.
struct Picture {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;
};

/// The PNG file of a picture.
[[nodiscard]] std::string to_png(const Picture& picture);

/// Sagittal, coronal and axial slice of `scan` through the voxel where `heat` (same extent, 0 to 1) is largest, side by
/// side, in right proportions, up is up and front is right or up; the heat lies over it in red and yellow.
[[nodiscard]] Picture draw_slices(const data::Volume& scan, const data::Volume& heat);

}  // namespace gabra::exec
