// SPDX-License-Identifier: MIT
#include "gabra/data/cache.hpp"

#include "data/nifti_file.hpp"
#include "gabra/core/file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>
#include <vector>

namespace gabra::data {
namespace {

namespace fs = std::filesystem;

constexpr PreprocessSettings kSettings{.extent = {6, 6, 6}};

std::string scan_bytes(double factor) {
  NiftiFile file{.values = counting(210)};
  for (double& value : file.values) value = factor * value * value;
  return gzipped(to_bytes(file));
}

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() { write_bytes(source_, scan_bytes(1.0)); }

  [[nodiscard]] std::vector<float> load(const VolumeCache& cache) const {
    std::vector<float> voxels(static_cast<std::size_t>(cache.voxels()));
    cache.load(source_, voxels);
    return voxels;
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_ / "cache"), fs::directory_iterator()));
  }

  TemporaryFolder folder_;
  std::string source_ = folder_ / "sub-1_T1w.nii.gz";
};

TEST_F(CacheTest, HoldsWhatPreprocessingGives) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  const std::vector<float> expected = preprocess(read_nifti(source_), kSettings, source_).voxels;
  EXPECT_EQ(load(cache), expected);  // made
  EXPECT_EQ(load(cache), expected);  // read
  EXPECT_FALSE(cache.ensure(source_));
  EXPECT_EQ(files(), 1U);
}

TEST_F(CacheTest, MadeAgainWhenTheSourceChanges) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  EXPECT_TRUE(cache.ensure(source_));
  write_bytes(source_, scan_bytes(-1.0));
  fs::last_write_time(source_, fs::last_write_time(source_) + std::chrono::seconds(5));
  EXPECT_TRUE(cache.ensure(source_));
  EXPECT_EQ(load(cache), preprocess(read_nifti(source_), kSettings, source_).voxels);
  fs::last_write_time(source_, fs::last_write_time(source_) - std::chrono::seconds(3));
  EXPECT_TRUE(cache.ensure(source_));
  EXPECT_EQ(files(), 1U);
}

TEST_F(CacheTest, SettingsHaveFilesOfTheirOwn) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  EXPECT_TRUE(cache.ensure(source_));
  for (const PreprocessSettings& other :
       {PreprocessSettings{.extent = {6, 6, 7}}, PreprocessSettings{.extent = {6, 6, 6}, .voxel_mm = 1.5},
        PreprocessSettings{.extent = {6, 6, 6}, .low_percentile = 2.0}}) {
    const VolumeCache another(folder_ / "cache", other);
    EXPECT_TRUE(another.ensure(source_));
    EXPECT_FALSE(another.ensure(source_));
  }
  EXPECT_FALSE(cache.ensure(source_));
  EXPECT_EQ(files(), 4U);
}

TEST_F(CacheTest, DamagedFilesAreMadeAgain) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  const std::vector<float> expected = load(cache);
  const std::string path = cache.file_of(source_);
  const std::string whole = read_file(path);
  ASSERT_EQ(whole.size(), 48U + 4 * 216);
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_bytes(path, damaged);
    ASSERT_EQ(load(cache), expected) << "byte " << at;
    ASSERT_EQ(read_file(path), whole) << "byte " << at;
  }
  for (const std::string& bytes :
       {std::string(), whole.substr(0, 47), whole.substr(0, whole.size() - 1), whole + "x"}) {
    write_bytes(path, bytes);
    ASSERT_EQ(load(cache), expected);
    ASSERT_EQ(read_file(path), whole);
  }
}

TEST_F(CacheTest, SeveralBuildTheSameAtOnce) {
  const std::vector<float> expected = preprocess(read_nifti(source_), kSettings, source_).voxels;
  for (int round = 0; round < 20; ++round) {
    fs::remove_all(folder_ / "cache");
    std::vector<std::vector<float>> results(4);
    {
      std::vector<std::jthread> threads;
      for (auto& result : results)
        threads.emplace_back([&] { result = load(VolumeCache(folder_ / "cache", kSettings)); });
    }
    for (const auto& result : results) ASSERT_EQ(result, expected);
    ASSERT_EQ(files(), 1U);  // nothing temporary is left
  }
}

TEST_F(CacheTest, FullDiskIsAnError) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  // A limit on the size of files stands for the full disk: the write fails half way.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 500, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string text;
  try {
    (void)load(cache);
  } catch (const CacheError& error) {
    text = error.what();
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(text.find("a cache that cannot be written: File too large"), std::string::npos) << text;
  EXPECT_EQ(files(), 0U);
  EXPECT_NO_THROW((void)load(cache));
}

TEST_F(CacheTest, FolderThatCannotBe) {
  write_bytes(folder_ / "file", "");
  EXPECT_THROW(VolumeCache(folder_ / "file", kSettings), CacheError);
  EXPECT_THROW(VolumeCache(folder_ / "file/cache", kSettings), CacheError);
}

TEST_F(CacheTest, FillReportsBadScans) {
  const VolumeCache cache(folder_ / "cache", kSettings);
  std::vector<std::string> sources{source_, folder_ / "missing.nii", folder_ / "text.nii"};
  write_bytes(sources[2], "text");
  for (int i = 0; i < 9; ++i) {
    sources.push_back(folder_ / ("scan" + std::to_string(i) + ".nii.gz"));
    write_bytes(sources.back(), scan_bytes(i + 1));
  }
  // Two workers share the twelve.
  const CacheReport first = fill_cache(cache, sources, 0, 2, 3);
  EXPECT_EQ(first.built, 5);
  EXPECT_EQ(first.bad.size(), 1U);
  const CacheReport second = fill_cache(cache, sources, 1, 2, 1);
  EXPECT_EQ(second.built, 5);
  EXPECT_EQ(second.bad.at(sources[1]).front().seen, "no such file");
  const CacheReport again = fill_cache(cache, sources, 0, 1, 2);
  EXPECT_EQ(again.built, 0);
  EXPECT_EQ(again.reused, 10);
  EXPECT_EQ(again.bad.size(), 2U);
}

}  // namespace
}  // namespace gabra::data
