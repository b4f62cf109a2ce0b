// SPDX-License-Identifier: MIT
#include "operators.hpp"

#include "random_problem.hpp"
#include "seeds.hpp"

#include <gtest/gtest.h>

#include <set>

namespace gabra::test {
namespace {

using ga::PlanSpace;
using ga::StageEstimator;

void expect_valid(const Plan& plan, const PlanSpace& space) {
  ASSERT_TRUE(space.contains(plan)) << to_text(plan.stages) << " M " << plan.micro_batches;
  ASSERT_TRUE(find_faults(space.problem(), plan).empty()) << to_text(plan.stages);
}

TEST(Operators, KeepPlansValid) {
  std::uint64_t seed = 0;
  for (const Problem& problem : various_problems()) {
    for (const std::int64_t sharing : {1, 3}) {
      const PlanSpace space(problem, {.max_stages_per_device = sharing});
      CostModel costs(problem);
      StageEstimator estimator(costs);
      Rng rng = Rng::substream(3, ++seed);
      Plan plan = random_plan(space, rng);
      for (int i = 0; i < 300; ++i) {
        plan = ga::mutate(std::move(plan), space, estimator, rng);
        ASSERT_NO_FATAL_FAILURE(expect_valid(plan, space)) << "seed " << seed << " step " << i;
        const Plan other = random_plan(space, rng);
        ASSERT_NO_FATAL_FAILURE(expect_valid(ga::cross_cuts(plan, other, space, rng), space));
        ASSERT_NO_FATAL_FAILURE(expect_valid(ga::cross_assignment(plan, other, space, rng), space));
      }
    }
  }
}

TEST(Operators, NeighboursAreCanonicalPlansWithoutRepeats) {
  for (const Problem& problem : various_problems()) {
    const PlanSpace space(problem, {});
    Rng rng(5);
    for (int i = 0; i < 10; ++i) {
      const Plan origin = space.canonical(random_plan(space, rng));
      std::set<Plan> seen{origin};
      for (const Plan& plan : ga::neighbours(origin, space)) {
        ASSERT_NO_FATAL_FAILURE(expect_valid(plan, space));
        EXPECT_EQ(space.canonical(plan), plan);
        EXPECT_TRUE(seen.insert(plan).second) << to_text(plan.stages);
      }
    }
  }
}

TEST(Operators, MutationsReachEveryStageCountAndSetting) {
  Rng rng(9);
  const Problem problem = random_problem({.units = 4, .devices = 3, .global_batch = 4}, rng);
  const PlanSpace space(problem, {});
  CostModel costs(problem);
  StageEstimator estimator(costs);
  std::set<std::size_t> stages;
  std::set<std::int64_t> counts;
  std::set<Schedule> schedules;
  std::set<Bytes> buckets;
  Plan plan = random_plan(space, rng);
  for (int i = 0; i < 1000; ++i) {
    plan = ga::mutate(std::move(plan), space, estimator, rng);
    stages.insert(plan.stages.size());
    counts.insert(plan.micro_batches);
    schedules.insert(plan.schedule);
    buckets.insert(plan.bucket);
  }
  EXPECT_EQ(stages.size(), 4U);
  EXPECT_EQ(counts.size(), 3U);  // 1, 2 and 4 divide 4
  EXPECT_EQ(schedules.size(), 3U);
  EXPECT_EQ(buckets.size(), space.buckets().size());
}

TEST(Seeds, AreValidCanonicalAndMany) {
  for (const Problem& problem : various_problems()) {
    const PlanSpace space(problem, {});
    CostModel costs(problem);
    StageEstimator estimator(costs);
    const std::vector<Plan> plans = ga::heuristic_plans(space, estimator);
    EXPECT_FALSE(plans.empty());
    for (const Plan& plan : plans) {
      ASSERT_NO_FATAL_FAILURE(expect_valid(plan, space));
      EXPECT_EQ(space.canonical(plan), plan);
    }
  }
}

}  // namespace
}  // namespace gabra::test
