// SPDX-License-Identifier: MIT
#include "gabra/data/loader.hpp"

#include "data/nifti_file.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

namespace gabra::data {
namespace {

constexpr PreprocessSettings kLoaderSettings{.extent = {6, 6, 6}};

TEST(SampleOrder, EveryEpochIsAShuffleWithoutTheRest) {
  const SampleOrder order(23, 4, true, 9);
  EXPECT_EQ(order.steps(), 5);
  std::set<std::vector<std::int64_t>> epochs;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    std::vector<std::int64_t> all;
    for (std::int64_t step = 0; step < 5; ++step) {
      const auto batch = order.batch(epoch, step);
      EXPECT_EQ(batch.size(), 4U);
      EXPECT_EQ(order.valid(step), 4);
      all.insert(all.end(), batch.begin(), batch.end());
    }
    EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), 20U);  // nobody twice
    EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](std::int64_t i) { return i >= 0 && i < 23; }));
    epochs.insert(all);
  }
  EXPECT_EQ(epochs.size(), 5U);
  EXPECT_EQ(SampleOrder(23, 4, true, 9).batch(3, 2), order.batch(3, 2));
  EXPECT_NE(SampleOrder(23, 4, true, 10).batch(3, 2), order.batch(3, 2));
}

TEST(SampleOrder, FewerSamplesThanABatch) {
  const SampleOrder order(3, 8, true, 1);
  EXPECT_EQ(order.steps(), 1);
  const auto batch = order.batch(0, 0);
  for (std::size_t i = 3; i < 8; ++i) EXPECT_EQ(batch[i], batch[i - 3]);
}

TEST(SampleOrder, EvaluationGoesThroughAllOnce) {
  const SampleOrder order(10, 4, false, 1);
  EXPECT_EQ(order.steps(), 3);
  EXPECT_EQ(order.batch(7, 1), (std::vector<std::int64_t>{4, 5, 6, 7}));
  EXPECT_EQ(order.batch(0, 2), (std::vector<std::int64_t>{8, 9, 9, 9}));
  EXPECT_EQ(order.valid(1), 4);
  EXPECT_EQ(order.valid(2), 2);
}

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() : cohort_(make(folder_)), cache_(folder_ / "cache", kLoaderSettings), samples_(samples_of(cohort_)) {}

  static Cohort make(const TemporaryFolder& folder) {
    write_toy_cohort(folder.path(), {"NC", "AD"}, 7, 8, 3);
    return read_cohort({.directory = folder.path()});
  }
  /// What a batch must hold, loaded without any help.
  void expect_right(const LoadedBatch& batch, const LoaderOptions& options, std::int64_t epoch, std::int64_t step,
                    std::int64_t micro_batch) const {
    const SampleOrder order(static_cast<std::int64_t>(samples_.size()), options.global_batch, options.shuffles,
                            options.seed);
    const auto all = order.batch(epoch, step);
    const auto size = static_cast<std::size_t>(options.micro_batch);
    ASSERT_EQ(batch.voxels.size(), size * 216);
    ASSERT_EQ(batch.labels.size(), size);
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t index = all[static_cast<std::size_t>(micro_batch) * size + i];
      const Sample& sample = samples_[static_cast<std::size_t>(index)];
      ASSERT_EQ(batch.samples[i], index);
      ASSERT_EQ(batch.labels[i], sample.label);
      std::vector<float> plain(216);
      std::vector<float> expected(216);
      cache_.load(sample.path, plain);
      const Transform transform =
          options.shuffles ? draw_transform(options.augmentation, options.seed, epoch, sample.key) : Transform{};
      apply_transform(transform, kLoaderSettings.extent, plain, expected);
      ASSERT_TRUE(
          std::equal(expected.begin(), expected.end(), batch.voxels.begin() + static_cast<std::ptrdiff_t>(i * 216)));
    }
  }

  TemporaryFolder folder_;
  Cohort cohort_;
  VolumeCache cache_;
  std::vector<Sample> samples_;
};

TEST_F(LoaderTest, SameBatchesWithAndWithoutThread) {
  for (const std::int64_t ahead : {0, 1, 3, 50}) {
    const LoaderOptions options{.global_batch = 4,
                                .micro_batch = 2,
                                .seed = 5,
                                .augmentation = {.flips = true, .max_shift = 1},

                                .ahead = ahead};
    Loader loader(cache_, samples_, options);
    ASSERT_EQ(loader.order().steps(), 3);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch)
      for (std::int64_t step = 0; step < 3; ++step)
        for (std::int64_t m = 0; m < 2; ++m) {
          const auto batch = loader.get(epoch, step, m);
          expect_right(*batch, options, epoch, step, m);
          EXPECT_EQ(batch->valid, 2);
          EXPECT_EQ(loader.labels(epoch, step, m), batch->labels);
        }
  }
}

TEST_F(LoaderTest, AnyOrderOfRequests) {
  const LoaderOptions options{.global_batch = 4, .micro_batch = 1, .seed = 2, .micro_batches = {1, 3}, .ahead = 3};
  Loader loader(cache_, samples_, options);
  Rng rng(11);
  for (int i = 0; i < 200; ++i) {
    const std::int64_t epoch = rng.between(0, 2);
    const std::int64_t step = rng.between(0, 2);
    const std::int64_t m = rng.between(0, 3);  // 0 and 2 are other ranks'
    expect_right(*loader.get(epoch, step, m), options, epoch, step, m);
  }
}

TEST_F(LoaderTest, SeveralThreadsAsk) {
  const LoaderOptions options{.global_batch = 4, .micro_batch = 2, .seed = 2, .ahead = 2};
  Loader loader(cache_, samples_, options);
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      Rng rng(t);
      for (int i = 0; i < 50; ++i) {
        const std::int64_t step = rng.between(0, 2);
        const std::int64_t m = rng.between(0, 1);
        expect_right(*loader.get(i / 10, step, m), options, i / 10, step, m);
      }
    });
}

TEST_F(LoaderTest, EvaluationPadsAndNeverAugments) {
  const LoaderOptions options{
      .global_batch = 4, .micro_batch = 2, .shuffles = false, .augmentation = {.flips = true, .max_shift = 2}};
  Loader loader(cache_, samples_, options);
  ASSERT_EQ(loader.order().steps(), 4);  // of 14 samples
  std::int64_t valid = 0;
  for (std::int64_t step = 0; step < 4; ++step)
    for (std::int64_t m = 0; m < 2; ++m) {
      const auto batch = loader.get(0, step, m);
      expect_right(*batch, options, 0, step, m);
      valid += batch->valid;
    }
  EXPECT_EQ(valid, 14);
  EXPECT_EQ(loader.get(0, 3, 1)->valid, 0);
}

TEST_F(LoaderTest, ABadScanIsThrownToWhoAsks) {
  const LoaderOptions options{.global_batch = 14, .micro_batch = 1, .shuffles = false};
  Loader loader(cache_, samples_, options);
  std::filesystem::remove(samples_[2].path);
  std::filesystem::remove(cache_.file_of(samples_[2].path));
  EXPECT_NO_THROW((void)loader.get(0, 0, 0));
  EXPECT_NO_THROW((void)loader.get(0, 0, 1));
  EXPECT_THROW((void)loader.get(0, 0, 2), InputError);
  EXPECT_NO_THROW((void)loader.get(0, 0, 3));
}

TEST_F(LoaderTest, EndsWhileLoading) {
  for (int i = 0; i < 20; ++i) {
    Loader loader(cache_, samples_, {.global_batch = 2, .micro_batch = 1, .ahead = 100});
    (void)loader.get(0, 0, 0);
  }
}

}  // namespace
}  // namespace gabra::data
