// SPDX-License-Identifier: MIT
#include "gabra/exec/prefetched_source.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace gabra::exec {
namespace {

constexpr std::int64_t kBrokenStep = 5;

/// A sample is 100 * step + micro-batch. The step kBrokenStep cannot be read.
class NumberedSource final : public SampleSourceBase {
 public:
  explicit NumberedSource(std::atomic<int>& fetched) : fetched_(fetched) {}
  [[nodiscard]] std::int64_t steps_per_epoch() const override { return 7; }
  std::vector<at::Tensor> inputs(std::int64_t step, std::int64_t micro_batch) override {
    ++fetched_;
    if (step == kBrokenStep) throw std::runtime_error("an unreadable scan");
    return {at::full({2}, 100 * step + micro_batch, at::kLong), at::Tensor()};
  }
  at::Tensor target(std::int64_t step, std::int64_t micro_batch) override {
    return at::full({1}, 7 * step + micro_batch, at::kLong);
  }

 private:
  std::atomic<int>& fetched_;
};

class Prefetched : public testing::Test {
 protected:
  void expect_inputs(std::int64_t step, std::int64_t micro_batch) {
    const std::vector<at::Tensor> found = source_->inputs(step, micro_batch);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0][1].item<std::int64_t>(), 100 * step + micro_batch);
    EXPECT_FALSE(found[1].defined());
  }
  /// Whether so many have been fetched in the end.
  [[nodiscard]] bool fetches(int count) const {
    for (int i = 0; i < 1000 && fetched_ < count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return fetched_ >= count;
  }

  std::atomic<int> fetched_ = 0;
  std::unique_ptr<SampleSourceBase> source_ =
      make_prefetched_source(std::make_unique<NumberedSource>(fetched_), {0, 3, 3, 1}, HostMemory::Pageable);
};

TEST_F(Prefetched, GivesWhatTheSourceGivesInTheOrderOfLoads) {
  for (std::int64_t step = 0; step < 3; ++step)
    for (const std::int64_t micro_batch : {0, 3, 3, 1}) expect_inputs(step, micro_batch);
  EXPECT_EQ(source_->steps_per_epoch(), 7);
  EXPECT_EQ(source_->target(2, 1).item<std::int64_t>(), 15);
}

TEST_F(Prefetched, FetchesTheNextStepBeforeItIsAskedFor) {
  for (const std::int64_t micro_batch : {0, 3, 3, 1}) expect_inputs(2, micro_batch);
  EXPECT_TRUE(fetches(6));  // two of step 3, too
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(fetched_, 6);
}

TEST_F(Prefetched, AnotherOrderIsAnsweredToo) {
  for (const std::int64_t micro_batch : {1, 0, 3, 0}) expect_inputs(1, micro_batch);
  expect_inputs(4, 3);
  expect_inputs(0, 1);
  expect_inputs(1, 0);
}

TEST_F(Prefetched, AnErrorComesFromTheCallThatAsksForIt) {
  for (const std::int64_t micro_batch : {0, 3, 3, 1}) expect_inputs(kBrokenStep - 1, micro_batch);
  EXPECT_THROW((void)source_->inputs(kBrokenStep, 0), std::runtime_error);
  expect_inputs(kBrokenStep + 1, 0);
}

}  // namespace
}  // namespace gabra::exec
