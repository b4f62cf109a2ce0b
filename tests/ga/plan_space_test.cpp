// SPDX-License-Identifier: MIT
#include "plan_space.hpp"

#include "gabra/core/error.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

namespace gabra::test {
namespace {

using ga::PlanSpace;
using ga::SearchSpace;

Problem problem_with_batch(std::int64_t batch) {
  Rng rng(1);
  return random_problem({.units = 6, .devices = 4, .global_batch = batch}, rng);
}

std::vector<std::int64_t> counts(std::int64_t batch, const SearchSpace& space) {
  const PlanSpace result(problem_with_batch(batch), space);
  return {result.micro_batch_counts().begin(), result.micro_batch_counts().end()};
}

Stage stage(int first, int end, const std::vector<int>& devices) {
  Stage result{.first_unit = first, .end_unit = end, .devices = {}};
  for (const int device : devices) result.devices.emplace_back(device);
  return result;
}

TEST(PlanSpace, AdmitsEveryDivisorOfTheBatch) {
  EXPECT_EQ(counts(12, {}), (std::vector<std::int64_t>{1, 2, 3, 4, 6, 12}));
  EXPECT_EQ(counts(9, {}), (std::vector<std::int64_t>{1, 3, 9}));
}

TEST(PlanSpace, FixesAndBoundsTheMicroBatchSize) {
  // 12 samples in micro-batches of 3 are 4; of at least 4 samples (4, 6, 12) they are 3, 2 or 1.
  EXPECT_EQ(counts(12, {.micro_batch = 3}), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(counts(12, {.min_micro_batch = 4}), (std::vector<std::int64_t>{1, 2, 3}));
}

TEST(PlanSpace, RefusesAMicroBatchThatNoCountGives) {
  EXPECT_THROW(counts(12, {.micro_batch = 5}), InputError);
  EXPECT_THROW(counts(12, {.min_micro_batch = 13}), InputError);
  EXPECT_THROW(counts(12, {.micro_batch = 3, .min_micro_batch = 4}), InputError);
}

TEST(PlanSpace, SpreadsCountsFromFirstToLast) {
  const PlanSpace space(problem_with_batch(64), {});
  EXPECT_EQ(space.spread_counts(3), (std::vector<std::int64_t>{1, 8, 64}));
  EXPECT_EQ(space.spread_counts(9).size(), 7U);
}

TEST(PlanSpace, RepairsRepeatedAndSurplusDevices) {
  const PlanSpace space(problem_with_batch(2), {.max_stages_per_device = 1});
  // M = 2 leaves two replicas of the first stage (0, 1); the second has only device 1, taken, and joins its neighbour.
  Plan plan{.micro_batches = 2, .stages = {stage(0, 2, {0, 0, 1, 2}), stage(2, 4, {1}), stage(4, 6, {3})}};
  space.repair(plan);
  EXPECT_EQ(plan.stages, (std::vector<Stage>{stage(0, 2, {0, 1}), stage(2, 6, {3})}));
  EXPECT_TRUE(space.contains(plan));
}

TEST(PlanSpace, RelabelsInterchangeableDevicesByAppearance) {
  const PlanSpace space(problem_with_batch(4), {});
  const Plan plan{.micro_batches = 4, .stages = {stage(0, 3, {3, 1}), stage(3, 6, {0, 3})}};
  EXPECT_EQ(space.canonical(plan).stages, (std::vector<Stage>{stage(0, 3, {0, 1}), stage(3, 6, {2, 0})}));
}

TEST(PlanSpace, CallsEquivalentSettingsByOneName) {
  const PlanSpace space(problem_with_batch(4), {});
  // One micro-batch: the schedule cannot matter. No replica: the bucket size cannot.
  Plan one{.micro_batches = 1,
           .schedule = Schedule::GPipe,
           .bucket = space.buckets().back(),
           .stages = {stage(0, 3, {0}), stage(3, 6, {1})}};
  one.stages[0].recompute = Recompute::ExceptLast;
  const Plan canonical = space.canonical(one);
  EXPECT_EQ(canonical.schedule, Schedule::Sequential);
  EXPECT_EQ(canonical.bucket, space.usual_bucket());
  EXPECT_EQ(canonical.stages[0].recompute, Recompute::Never);
}

TEST(PlanSpace, CanonicalFormIsTheSameForEveryRelabelling) {
  for (const Problem& problem : various_problems()) {
    const PlanSpace space(problem, {});
    const auto classes = problem.cluster->interchange_classes();
    Rng rng(11);
    for (int i = 0; i < 200; ++i) {
      const Plan plan = random_plan(space, rng);
      const Plan canonical = space.canonical(plan);
      ASSERT_TRUE(space.contains(canonical));
      ASSERT_EQ(space.canonical(canonical), canonical);
      const DeviceId a(rng.below(problem.cluster->device_count()));
      const DeviceId b(rng.below(problem.cluster->device_count()));
      if (classes[a.index()] != classes[b.index()]) continue;
      Plan swapped = plan;
      for (Stage& stage : swapped.stages) {
        for (DeviceId& device : stage.devices) device = device == a ? b : device == b ? a : device;
      }
      ASSERT_EQ(space.canonical(swapped), canonical) << "plan " << i;
    }
  }
}

}  // namespace
}  // namespace gabra::test
