// SPDX-License-Identifier: MIT
#include "gabra/data/volume.hpp"

#include "data/expect.hpp"
#include "data/nifti_file.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>

namespace gabra::data {
namespace {

constexpr std::int64_t kCount = 210;  // 5 x 6 x 7

/// Writes `file` under `name` and reads it.
Volume read_back(const NiftiFile& file, const std::string& name = "a.nii") {
  const TemporaryFolder folder;
  const std::string bytes = to_bytes(file);
  write_bytes(folder / name, name.ends_with(".gz") ? gzipped(bytes) : bytes);
  return read_nifti(folder / name);
}

NiftiFile counting_file() { return {.values = counting(kCount)}; }

/// The only fault's `seen` of a file with these bytes.
std::string fault_of(const std::string& bytes, const std::string& name = "a.nii") {
  const TemporaryFolder folder;
  write_bytes(folder / name, bytes);
  try {
    (void)read_nifti(folder / name);
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().size(), 1U);
    EXPECT_EQ(error.faults().front().where, folder / name);
    return error.faults().front().seen;
  }
  return "nothing";
}

TEST(ReadNifti, EveryDatatypeAndByteOrderAndVersion) {
  for (const int version : {1, 2})
    for (const int datatype : {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280})
      for (const bool is_swapped : {false, true})
        for (const char* name : {"a.nii", "a.nii.gz"}) {
          NiftiFile file{.version = version, .datatype = datatype, .is_swapped = is_swapped, .values = {}};
          for (const double value : counting(kCount)) file.values.push_back(std::fmod(value, 120.0));
          const Volume volume = read_back(file, name);
          ASSERT_EQ(volume.extent, (Extent{5, 6, 7}));
          // Stored with x fastest: voxel (x, y, z) is number x + 5 y + 30 z.
          for (std::int64_t x = 0; x < 5; ++x)
            for (std::int64_t y = 0; y < 6; ++y)
              for (std::int64_t z = 0; z < 7; ++z)
                ASSERT_EQ(at(volume, x, y, z), static_cast<float>((x + 5 * y + 30 * z) % 120))
                    << version << " " << datatype << " " << is_swapped << " " << name;
        }
}

TEST(ReadNifti, SlopeAndIntercept) {
  NiftiFile file = counting_file();
  file.datatype = 4;
  file.slope = 0.5;
  file.intercept = -3.0;
  EXPECT_EQ(at(read_back(file), 4, 0, 0), -1.0F);
  file.slope = 0.0;  // none, says the standard
  EXPECT_EQ(at(read_back(file), 4, 0, 0), 4.0F);
  file.slope = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(at(read_back(file), 4, 0, 0), 4.0F);
}

TEST(ReadNifti, AsStoredWithoutForms) {
  NiftiFile file = counting_file();
  file.pixdim = {1.0, 2.0, -3.0, 0.0};
  const Volume volume = read_back(file);
  EXPECT_EQ(voxel_sizes(volume.affine), (std::array<double, 3>{2.0, 3.0, 1.0}));
  EXPECT_EQ(at(volume, 1, 0, 0), 1.0F);
}

TEST(ReadNifti, SformPermutesAndFlips) {
  NiftiFile file = counting_file();
  file.sform_code = 1;
  // Stored axes: i runs to the back (-y), 2 mm; j up (+z), 3 mm; k to the left (-x), 4 mm.
  file.srow = {{{0, 0, -4, 10}, {-2, 0, 0, 20}, {0, 3, 0, 30}}};
  const Volume volume = read_back(file);
  EXPECT_EQ(volume.extent, (Extent{7, 5, 6}));
  EXPECT_EQ(voxel_sizes(volume.affine), (std::array<double, 3>{4.0, 2.0, 3.0}));
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < 6; ++j)
      for (std::int64_t k = 0; k < 7; ++k)
        ASSERT_EQ(at(volume, 6 - k, 4 - i, j), static_cast<float>(i + 5 * j + 30 * k));
  // Voxel (0, 0, 0) is the stored (4, 0, 6): x = 10 - 24, y = 20 - 8, z = 30.
  EXPECT_EQ(volume.affine, (Affine{{{4, 0, 0, -14}, {0, 2, 0, 12}, {0, 0, 3, 30}}}));
}

TEST(ReadNifti, QformWhereThereIsNoSform) {
  NiftiFile file = counting_file();
  file.qform_code = 1;
  file.quaternion = {0.0, 0.0, 1.0};  // half a turn about z: x and y against their axes
  file.qoffset = {8.0, 10.0, 12.0};
  const Volume volume = read_back(file);
  EXPECT_EQ(at(volume, 4, 5, 0), 0.0F);
  EXPECT_EQ(at(volume, 0, 5, 0), 4.0F);
  EXPECT_NEAR(volume.affine[0][3], 8.0 - 4.0, 1e-6);
  EXPECT_NEAR(volume.affine[1][3], 10.0 - 5.0, 1e-6);
  file.sform_code = 2;  // goes before
  file.srow = {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
  EXPECT_EQ(at(read_back(file), 0, 0, 0), 0.0F);
}

TEST(ReadNifti, ObliqueTakesNearestAxes) {
  NiftiFile file = counting_file();
  file.sform_code = 1;
  const double c = std::cos(0.5);
  const double s = std::sin(0.5);
  file.srow = {{{-c, s, 0, 0}, {s, c, 0, 0}, {0, 0, 1, 0}}};
  const Volume volume = read_back(file);
  EXPECT_EQ(at(volume, 4, 0, 0), 0.0F);
  EXPECT_EQ(at(volume, 0, 0, 0), 4.0F);
  EXPECT_NEAR(volume.affine[0][0], c, 1e-6);  // the angle stays
  EXPECT_NEAR(volume.affine[1][0], -s, 1e-6);
}

TEST(ReadNifti, OneVolumeOfFourDimensions) {
  NiftiFile file = counting_file();
  file.dim = {4, 5, 6, 7, 1};
  EXPECT_EQ(read_back(file).extent, (Extent{5, 6, 7}));
}

TEST(ReadNifti, VoxelsFurtherBack) {
  NiftiFile file = counting_file();
  file.offset = 416.0;
  EXPECT_EQ(at(read_back(file), 1, 0, 0), 1.0F);
  file.offset = 0.0;  // unset: right behind the header
  EXPECT_EQ(at(read_back(file), 1, 0, 0), 1.0F);
}

TEST(ReadNifti, Missing) {
  try {
    (void)read_nifti("/nowhere/a.nii.gz");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().front().seen, "no such file");
  }
  EXPECT_THROW((void)read_nifti("/"), InputError);
}

TEST(ReadNifti, NotNifti) {
  expect_contains(fault_of(""), "empty");
  expect_contains(fault_of("hello"), "not NIfTI");
  expect_contains(fault_of(std::string(1000, 'x')), "not NIfTI");
  expect_contains(fault_of(std::string(1000, 'x'), "a.nii.gz"), "no gzip data");
  NiftiFile file = counting_file();
  file.magic = "ni1";
  expect_contains(fault_of(to_bytes(file)), "pair of files");
  file.magic = std::string(4, '\0');
  expect_contains(fault_of(to_bytes(file)), "ANALYZE");
}

TEST(ReadNifti, WrongDimensions) {
  NiftiFile file = counting_file();
  file.dim = {2, 14, 15};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions: 14x15");
  file.dim = {4, 5, 6, 7, 2};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions: 5x6x7x2");
  file.dim = {3, 5, 6, 1};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions: 5x6x1");
  file.dim = {3, 5, 6, -7};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions: 5x6x-7");
  file.dim = {3, 32000, 32000, 32000};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions: 32000x32000x32000");
  file.version = 2;
  file.dim = {3, std::int64_t{1} << 62, std::int64_t{1} << 62, 4};
  expect_contains(fault_of(to_bytes(file)), "wrong dimensions");
}

TEST(ReadNifti, WrongDatatype) {
  NiftiFile file = counting_file();
  for (const int datatype : {0, 1, 32, 128, 1536, 1792, 2304, 999}) {
    file.datatype = datatype;
    expect_contains(fault_of(to_bytes(file)), "datatype " + std::to_string(datatype));
  }
  file.datatype = 16;
  file.bits = 16;
  expect_contains(fault_of(to_bytes(file)), "16 bits");
}

TEST(ReadNifti, TruncatedAndDamaged) {
  const std::string bytes = to_bytes(counting_file());
  expect_contains(fault_of(bytes.substr(0, 300)), "not NIfTI");
  expect_contains(fault_of(bytes.substr(0, bytes.size() - 1)), "truncated file of");
  std::string packed = gzipped(bytes);
  expect_contains(fault_of(packed.substr(0, packed.size() / 2), "a.nii.gz"), "truncated gzip");
  expect_contains(fault_of(packed.substr(0, packed.size() - 3), "a.nii.gz"), "truncated gzip");
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);  // of the checksum
  expect_contains(fault_of(packed, "a.nii.gz"), "damaged gzip");
  // A whole gzip file of an image that is cut.
  expect_contains(fault_of(gzipped(bytes.substr(0, bytes.size() - 4)), "a.nii.gz"), "ends after 836 of 840 bytes");
  // A header that promises 4 GiB in a file of some hundred bytes.
  NiftiFile file = counting_file();
  file.dim = {3, 1024, 1024, 1024};
  expect_contains(fault_of(gzipped(to_bytes(file)), "a.nii.gz"), "truncated gzip data");
}

TEST(ReadNifti, BadVoxels) {
  NiftiFile file = counting_file();
  file.values[17] = std::numeric_limits<double>::quiet_NaN();
  file.values[18] = std::numeric_limits<double>::infinity();
  expect_contains(fault_of(to_bytes(file)), "2 of 210 voxels that are not finite");
  file.values.assign(kCount, 3.0);
  expect_contains(fault_of(to_bytes(file)), "all voxels equal to 3");
}

TEST(ReadNifti, BadOrientation) {
  NiftiFile file = counting_file();
  file.sform_code = 1;
  for (const auto& srow : {std::array<std::array<double, 4>, 3>{},
                           std::array<std::array<double, 4>, 3>{{{1, 1, 0, 0}, {1, 1, 0, 0}, {0, 0, 1, 0}}},
                           std::array<std::array<double, 4>, 3>{{{1, 0, 0, 0}, {0, std::nan(""), 0, 0}, {0, 0, 1, 0}}},
                           std::array<std::array<double, 4>, 3>{{{1e30, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}}}) {
    file.srow = srow;
    expect_contains(fault_of(to_bytes(file)), "orientation");
  }
}

TEST(ReadNifti, BadOffset) {
  NiftiFile file = counting_file();
  for (const double offset : {8.0, 352.5, 1e12, std::nan("")}) {
    file.offset = offset;
    expect_contains(fault_of(to_bytes(file)), "voxels at byte");
  }
}

TEST(WriteNifti, ReadsBack) {
  const TemporaryFolder folder;
  Volume volume{.extent = {4, 5, 6}, .affine = {{{2, 0, 0, -10}, {0, 2, 0.5, -20}, {0, -0.5, 2, 5}}}, .voxels = {}};
  for (int i = 0; i < 120; ++i) volume.voxels.push_back(static_cast<float>(i) * 0.25F);
  for (const char* name : {"a.nii", "a.nii.gz"}) {
    write_nifti(folder / name, volume);
    const Volume read = read_nifti(folder / name);
    EXPECT_EQ(read.extent, volume.extent);
    EXPECT_EQ(read.affine, volume.affine);
    EXPECT_EQ(read.voxels, volume.voxels);
    const std::string first = read_file(folder / name);
    write_nifti(folder / name, volume);
    EXPECT_EQ(read_file(folder / name), first);
  }
  EXPECT_LT(std::filesystem::file_size(folder / "a.nii.gz"), std::filesystem::file_size(folder / "a.nii"));
  EXPECT_THROW(write_nifti("/nowhere/a.nii", volume), InputError);
}

}  // namespace
}  // namespace gabra::data
