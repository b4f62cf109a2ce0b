// SPDX-License-Identifier: MIT
#include "gabra/data/volume.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>

namespace gabra::data {

std::string to_text(const Extent& extent) { return fmt::format("{}x{}x{}", extent[0], extent[1], extent[2]); }

std::array<double, 3> voxel_sizes(const Affine& affine) {
  std::array<double, 3> sizes{};
  for (std::size_t axis = 0; axis < 3; ++axis)
    sizes[axis] = std::hypot(affine[0][axis], affine[1][axis], affine[2][axis]);
  return sizes;
}

Affine identity_affine() {
  Affine affine{};
  for (std::size_t axis = 0; axis < 3; ++axis) affine[axis][axis] = 1.0;
  return affine;
}

}  // namespace gabra::data
