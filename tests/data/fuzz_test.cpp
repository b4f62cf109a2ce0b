// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"

#include "data/nifti_file.hpp"
#include "gabra/core/error.hpp"
#include "gabra/data/participants.hpp"
#include "gabra/data/preprocess.hpp"
#include "gabra/data/volume.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

// Seeded mutations of files. A reader may accept or throw InputError with faults that name the file; nothing else.
// Meant to run under the address sanitizer too.

namespace gabra::data {
namespace {

std::string mutated(std::string bytes, Rng& rng, std::size_t head) {
  for (std::uint64_t edits = 1 + rng.below(4); edits > 0 && !bytes.empty(); --edits) {
    // Most edits go where the header is.
    const std::size_t at = rng.below(rng.chance(0.8) ? std::min(bytes.size(), head) : bytes.size());
    switch (rng.below(5)) {
      case 0:
        bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8)));
        break;
      case 2:
        for (std::size_t i = at; i < std::min(bytes.size(), at + 1 + rng.below(8)); ++i)
          bytes[i] = static_cast<char>(rng.chance(0.5) ? 0xff : 0x7f);
        break;
      case 3:
        if (rng.chance(0.3)) bytes.resize(at);
        break;
      default:
        bytes.insert(at, 1 + rng.below(4), static_cast<char>(rng.below(256)));
    }
  }
  return bytes;
}

/// A volume that was accepted is one that the rest of the room can work with.
void expect_usable(const Volume& volume, const std::string& what) {
  ASSERT_EQ(static_cast<std::int64_t>(volume.voxels.size()), voxel_count(volume.extent)) << what;
  for (const float voxel : volume.voxels) ASSERT_TRUE(std::isfinite(voxel)) << what;
  const Volume small = resample(volume, {4, 5, 6}, 0.0);
  ASSERT_EQ(small.voxels.size(), 120U) << what;
  for (const float voxel : small.voxels) ASSERT_TRUE(std::isfinite(voxel)) << what;
}

void expect_volume_or_fault(const std::string& path, const std::string& what) {
  try {
    expect_usable(read_nifti(path), what);
  } catch (const InputError& error) {
    ASSERT_FALSE(error.faults().empty()) << what;
    for (const Fault& fault : error.faults()) {
      EXPECT_EQ(fault.where, path) << what;
      EXPECT_FALSE(fault.seen.empty()) << what;
    }
  } catch (const std::exception& error) {
    ADD_FAILURE() << what << ": " << error.what();
  }
}

TEST(FuzzNifti, MutatedFiles) {
  const TemporaryFolder folder;
  for (const std::uint64_t seed : std::vector<std::uint64_t>{1, 2, 3, 4}) {
    NiftiFile file{.version = seed % 2 == 0 ? 2 : 1, .datatype = seed < 3 ? 4 : 64, .values = counting(210)};
    file.is_swapped = seed == 3;
    file.sform_code = 1;
    file.srow = {{{0, 0, -4, 10}, {-2, 0, 0, 20}, {0, 3, 0, 30}}};
    file.qform_code = 1;
    const std::string plain = to_bytes(file);
    const std::string packed = gzipped(plain);
    for (std::uint64_t i = 0; i < 1500; ++i) {
      Rng rng = Rng::substream(seed, i);
      const std::string what = "seed " + std::to_string(seed) + ", mutation " + std::to_string(i);
      const std::size_t head = file.version == 1 ? 352 : 544;
      // Plain files; gzip files of mutated images; mutated gzip files.
      const std::uint64_t kind = i % 4;
      const std::string path = folder / (kind < 2 ? "a.nii" : "a.nii.gz");
      write_bytes(path, kind < 2    ? mutated(plain, rng, head)
                        : kind == 2 ? gzipped(mutated(plain, rng, head))
                                    : mutated(packed, rng, 20));
      expect_volume_or_fault(path, what);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(FuzzNifti, RandomFields) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.nii";
  const std::vector<double> kNumbers{
      0.0, 1.0, -1.0, 1e-30, 1e30, -1e9, 348, 352.5, 1e18, std::nan(""), std::numeric_limits<double>::infinity()};
  for (std::uint64_t i = 0; i < 3000; ++i) {
    Rng rng = Rng::substream(77, i);
    const auto number = [&] { return kNumbers[rng.below(kNumbers.size())]; };
    NiftiFile file{.version = static_cast<int>(rng.between(1, 2)), .values = counting(210)};
    if (rng.chance(0.3))
      for (std::int64_t& size : file.dim)
        size = rng.chance(0.5) ? rng.between(-2, 9) : static_cast<std::int64_t>(rng.bits());
    if (rng.chance(0.3)) file.datatype = static_cast<int>(rng.between(-1, 2500));
    if (rng.chance(0.2)) file.offset = number();
    if (rng.chance(0.3)) file.slope = number();
    if (rng.chance(0.3)) file.intercept = number();
    file.qform_code = static_cast<int>(rng.between(-1, 1));
    file.sform_code = static_cast<int>(rng.between(-1, 1));
    for (double& value : file.quaternion) value = rng.chance(0.5) ? number() : rng.uniform();
    for (double& value : file.pixdim) value = rng.chance(0.3) ? number() : 1.0;
    for (auto& row : file.srow)
      for (double& value : row) value = rng.chance(0.2) ? number() : rng.normal();
    if (file.offset > 1e6) file.values.clear();
    write_bytes(path, to_bytes(file));
    expect_volume_or_fault(path, "mutation " + std::to_string(i));
    if (HasFatalFailure()) return;
  }
}

TEST(FuzzParticipants, MutatedTables) {
  const std::string text =
      "participant_id\tage\tsex\tgroup\tmmse\nsub-01\t71.5\tF\tAD\t20\nsub-02\tn/"
      "a\tM\tCN\t29\r\nsub-03\t80+\tF\tpMCI\t\n";
  const std::vector<std::string> kPieces{"\t",
                                         "\n",
                                         "\r\n",
                                         "",
                                         "n/a",
                                         "\xff\xfe",
                                         std::string(1, '\0'),
                                         "sub-",
                                         "sub-01",
                                         "1e999",
                                         "-0",
                                         "nan",
                                         "participant_id",
                                         "group\t",
                                         std::string(300, 'x')};
  for (std::uint64_t i = 0; i < 20000; ++i) {
    Rng rng = Rng::substream(5, i);
    std::string changed = text;
    for (std::uint64_t edits = 1 + rng.below(4); edits > 0; --edits) {
      const std::size_t at = rng.below(changed.size() + 1);
      changed.replace(at, std::min<std::size_t>(rng.below(8), changed.size() - at), kPieces[rng.below(kPieces.size())]);
    }
    FaultList faults;
    const ParticipantTable table = parse_participants(changed, "p.tsv", faults);
    for (const Participant& row : table.rows) {
      ASSERT_EQ(row.cells.size(), table.columns.size()) << i;
      for (const Fault& fault : row.faults) ASSERT_TRUE(fault.where.starts_with("p.tsv:")) << i;
      if (row.faults.empty()) {
        ASSERT_TRUE(row.id.starts_with("sub-")) << i;
        ASSERT_EQ(row.id.find('/'), std::string::npos) << i;
        ASSERT_FALSE(row.group.empty()) << i;
      }
      if (row.age) {
        ASSERT_GE(*row.age, 0.0) << i;
        ASSERT_LE(*row.age, 150.0) << i;
      }
    }
    ASSERT_TRUE(!table.rows.empty() || !faults.empty()) << i;
  }
}

}  // namespace
}  // namespace gabra::data
