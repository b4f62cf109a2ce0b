// SPDX-License-Identifier: MIT
#include "gabra/data/preprocess.hpp"

#include "data/expect.hpp"
#include "gabra/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <vector>

namespace gabra::data {
namespace {

Volume volume_of(const Extent& extent, double millimetres, const std::function<double(double, double, double)>& value) {
  Volume volume{.extent = extent, .affine = identity_affine(), .voxels = {}};
  for (std::size_t axis = 0; axis < 3; ++axis) volume.affine[axis][axis] = millimetres;
  for (std::int64_t x = 0; x < extent[0]; ++x)
    for (std::int64_t y = 0; y < extent[1]; ++y)
      for (std::int64_t z = 0; z < extent[2]; ++z)
        volume.voxels.push_back(
            static_cast<float>(value(static_cast<double>(x), static_cast<double>(y), static_cast<double>(z))));
  return volume;
}

double ramp(double x, double y, double z) { return 1.0 + x + 10.0 * y + 100.0 * z; }

TEST(Resample, SameGridIsTheSame) {
  const Volume volume = volume_of({6, 5, 7}, 2.0, ramp);
  const Volume result = resample(volume, volume.extent, 2.0);
  EXPECT_EQ(result.voxels, volume.voxels);
  EXPECT_EQ(result.affine, volume.affine);
}

TEST(Resample, FinerIsLinearInterpolation) {
  // 6 voxels of 2 mm as 12 of 1 mm: centres at -0.25, 0.25, 0.75, ... of the source; a ramp stays one inside.
  const Volume result = resample(volume_of({6, 6, 6}, 2.0, ramp), {12, 12, 12}, 0.0);
  for (std::int64_t i = 1; i < 11; ++i)
    for (std::int64_t j = 1; j < 11; ++j)
      EXPECT_NEAR(at(result, i, j, 3),
                  ramp(0.5 * static_cast<double>(i) - 0.25, 0.5 * static_cast<double>(j) - 0.25, 1.25), 1e-3);
  EXPECT_NEAR(result.affine[0][0], 1.0, 1e-12);
  EXPECT_NEAR(result.affine[0][3], -0.5, 1e-12);  // the source's index -0.25
}

TEST(Resample, CoarserSmoothsBeforeSampling) {
  // Every other voxel 1: sampling alone would give all or nothing; a triangle over 4 voxels gives the mean.
  const Volume result = resample(
      volume_of({32, 32, 32}, 1.0, [](double x, double, double) { return std::fmod(x, 2.0); }), {8, 8, 8}, 0.0);
  for (std::int64_t i = 1; i < 7; ++i) EXPECT_NEAR(at(result, i, 4, 4), 0.5, 0.02);
}

TEST(Resample, KeepsShapesAndCentre) {
  // 8x16x8 mm into 8 cubed: 2 mm a voxel; x and z fill the middle half, outside is 0.
  const Volume result =
      resample(volume_of({8, 16, 8}, 1.0, [](double, double, double) { return 1.0; }), {8, 8, 8}, 0.0);
  for (std::int64_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(at(result, 4, i, 4), 1.0, 1e-6);
    EXPECT_NEAR(at(result, i, 4, 4), i >= 2 && i < 6 ? 1.0 : 0.0, 1e-6);
  }
  EXPECT_EQ(voxel_sizes(result.affine), (std::array<double, 3>{2.0, 2.0, 2.0}));
  // The centre of the field of view keeps its place: (3.5, 7.5, 3.5) mm.
  for (std::size_t row = 0; row < 3; ++row) {
    double centre = result.affine[row][3];
    for (std::size_t axis = 0; axis < 3; ++axis) centre += 3.5 * result.affine[row][axis];
    EXPECT_NEAR(centre, row == 1 ? 7.5 : 3.5, 1e-9);
  }
}

TEST(Resample, StatedVoxelSizeCrops) {
  const Volume result = resample(volume_of({20, 20, 20}, 1.0, ramp), {10, 10, 10}, 1.0);
  EXPECT_NEAR(at(result, 0, 0, 0), ramp(5, 5, 5), 1e-3);
}

TEST(Resample, AnisotropicVoxels) {
  Volume volume = volume_of({8, 8, 4}, 1.0, ramp);
  volume.affine[2][2] = 2.0;  // 8 mm along z too
  const Volume result = resample(volume, {8, 8, 8}, 0.0);
  EXPECT_NEAR(at(result, 3, 4, 3), ramp(3, 4, 1.25), 1e-3);
}

TEST(Normalize, MeanAndDeviationOfTheForeground) {
  std::vector<float> voxels(2000, 0.0F);
  for (std::size_t i = 0; i < 1000; ++i) voxels[2 * i] = 100.0F + static_cast<float>(i % 100);
  voxels[10] = 1e6F;  // cut off by the percentile
  ASSERT_TRUE(normalize(voxels, {}));
  double sum = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < 1000; ++i) {
    sum += static_cast<double>(voxels[2 * i]);
    squares += std::pow(static_cast<double>(voxels[2 * i]), 2);
    EXPECT_EQ(voxels[2 * i + 1], 0.0F);
  }
  EXPECT_NEAR(sum / 1000, 0.0, 1e-5);
  EXPECT_NEAR(squares / 1000, 1.0, 1e-5);
  EXPECT_LT(*std::max_element(voxels.begin(), voxels.end()), 2.0F);
}

TEST(Normalize, ScaleAndUnitsDoNotMatter) {
  std::vector<float> a(100);
  std::iota(a.begin(), a.end(), 1.0F);
  std::vector<float> b = a;
  for (float& value : b) value *= 64.0F;
  ASSERT_TRUE(normalize(a, {}));
  ASSERT_TRUE(normalize(b, {}));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
}

TEST(Normalize, PercentilesAsNumpyHasThem) {
  // 1 ... 101: percentiles 10 and 90 are 11 and 91. Clipped: 10 x 11, 11 ... 91, 10 x 91.
  std::vector<float> voxels(101);
  std::iota(voxels.begin(), voxels.end(), 1.0F);
  ASSERT_TRUE(normalize(voxels, {.low_percentile = 10.0, .high_percentile = 90.0}));
  EXPECT_EQ(voxels[0], voxels[10]);
  EXPECT_LT(voxels[10], voxels[11]);
  EXPECT_LT(voxels[89], voxels[90]);
  EXPECT_EQ(voxels[90], voxels[100]);
}

TEST(Normalize, NoContrast) {
  std::vector<float> voxels{0.0F, 5.0F, 5.0F, 0.0F};
  const std::vector<float> before = voxels;
  EXPECT_FALSE(normalize(voxels, {}));
  EXPECT_EQ(voxels, before);
  std::vector<float> zeros(8, 0.0F);
  EXPECT_FALSE(normalize(zeros, {}));
  const Volume flat = volume_of({8, 8, 8}, 1.0, [](double x, double, double) { return x < 4 ? 0.0 : 2.0; });
  EXPECT_THROW((void)preprocess(flat, {.extent = {8, 8, 8}}, "scan"), InputError);
}

TEST(Transform, KeyedBySeedEpochSample) {
  const Augmentation augmentation{.flips = true, .max_shift = 3};
  const Transform once = draw_transform(augmentation, 1, 2, 3);
  EXPECT_EQ(once, draw_transform(augmentation, 1, 2, 3));
  std::set<std::vector<std::int64_t>> seen;
  int flips = 0;
  for (std::uint64_t sample = 0; sample < 1000; ++sample) {
    const Transform transform = draw_transform(augmentation, 1, 2, sample);
    flips += transform.flips ? 1 : 0;
    for (const std::int64_t shift : transform.shift) EXPECT_LE(std::abs(shift), 3);
    seen.insert({transform.shift.begin(), transform.shift.end()});
  }
  EXPECT_NEAR(flips, 500, 80);   // five deviations of 15.8
  EXPECT_GT(seen.size(), 250U);  // of 343
  EXPECT_NE(draw_transform(augmentation, 1, 3, 3), draw_transform(augmentation, 1, 4, 3));
  EXPECT_EQ(draw_transform({}, 1, 2, 3), Transform{});
}

TEST(Transform, FlipsThenShifts) {
  const Extent extent{3, 2, 2};
  std::vector<float> from(12);
  std::iota(from.begin(), from.end(), 1.0F);
  std::vector<float> to(12);
  apply_transform({.flips = true, .shift = {}}, extent, from, to);
  EXPECT_EQ(to, (std::vector<float>{9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4}));
  apply_transform({.flips = true, .shift = {1, 0, 0}}, extent, from, to);
  EXPECT_EQ(to, (std::vector<float>{0, 0, 0, 0, 9, 10, 11, 12, 5, 6, 7, 8}));
  apply_transform({.flips = false, .shift = {0, -1, 1}}, extent, from, to);
  EXPECT_EQ(to, (std::vector<float>{0, 3, 0, 0, 0, 7, 0, 0, 0, 11, 0, 0}));
  apply_transform({.flips = false, .shift = {-5, 0, 7}}, extent, from, to);
  EXPECT_EQ(to, std::vector<float>(12, 0.0F));
}

}  // namespace
}  // namespace gabra::data
