// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/data/volume.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace gabra::data {

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
}

/// One voxel.
inline float at(const Volume& volume, std::int64_t x, std::int64_t y, std::int64_t z) {
  return volume.voxels[static_cast<std::size_t>((x * volume.extent[1] + y) * volume.extent[2] + z)];
}

}  // namespace gabra::data
