// SPDX-License-Identifier: MIT
#include "gabra/ga/search.hpp"

#include "gabra/core/error.hpp"
#include "gabra/ga/baselines.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace gabra::test {
namespace {

using ga::SearchOptions;
using ga::SearchResult;

/// Times are 1.1 times the lower bound; the memory of a device is the state of its stages, limited by `memory`.
class FakeEvaluator : public Evaluator {
 public:
  explicit FakeEvaluator(Problem problem, std::int64_t memory = std::int64_t{1} << 40)
      : costs_(std::move(problem)), memory_(memory) {}

  [[nodiscard]] const Problem& problem() const override { return costs_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    largest_call_ = std::max(largest_call_, plans.size());
    std::vector<Evaluation> result;
    for (const Plan& plan : plans) {
      seen_.push_back(plan);
      result.push_back(evaluate_one(plan));
    }
    return result;
  }
  [[nodiscard]] const std::vector<Plan>& seen() const { return seen_; }
  [[nodiscard]] std::size_t largest_call() const { return largest_call_; }

 private:
  [[nodiscard]] Evaluation evaluate_one(const Plan& plan) {
    std::map<DeviceId, Bytes> state;
    for (const Stage& stage : plan.stages) {
      for (const DeviceId device : stage.devices) {
        state[device] += costs_.state_bytes(stage.first_unit, stage.end_unit);
      }
    }
    Bytes largest;
    for (const auto& [device, bytes] : state) largest = std::max(largest, bytes);
    if (largest > Bytes(memory_)) {
      return Infeasible{.reason = Infeasible::Reason::Memory,
                        .message = {},
                        .device = plan.stages[0].devices[0],
                        .required = largest,
                        .available = Bytes(memory_)};
    }
    StepReport report;
    report.step = costs_.lower_bound(plan) * 1.1;
    report.peak_memory = largest;
    report.energy = Joules(static_cast<double>(state.size()));
    return report;
  }

  CostModel costs_;
  std::int64_t memory_;
  std::size_t largest_call_ = 0;
  std::vector<Plan> seen_;
};

Problem some_problem(std::uint64_t seed, bool is_unequal = true) {
  Rng rng(seed);
  return random_problem(
      {.units = 7, .devices = 4, .global_batch = 8, .is_residual = seed % 2 == 0, .is_unequal = is_unequal}, rng);
}

SearchOptions small_budget(std::uint64_t seed) {
  SearchOptions options;
  options.seed = seed;
  options.population = 16;
  options.max_evaluations = 400;
  return options;
}

TEST(Search, OneSeedGivesOneLog) {
  FakeEvaluator first(some_problem(1));
  FakeEvaluator second(some_problem(1));
  const SearchResult a = ga::run_gabra(first, small_budget(5));
  const SearchResult b = ga::run_gabra(second, small_budget(5));
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.best, b.best);
  EXPECT_EQ(first.seen(), second.seen());
  FakeEvaluator third(some_problem(1));
  EXPECT_NE(ga::run_gabra(third, small_budget(6)).log, a.log);
}

TEST(Search, TheSizeOfCallsChangesNothing) {
  FakeEvaluator whole(some_problem(2));
  const SearchResult expected = ga::run_gabra(whole, small_budget(5));
  EXPECT_GT(whole.largest_call(), 7U);
  for (const std::int64_t size : {1, 7}) {
    FakeEvaluator split(some_problem(2));
    SearchOptions options = small_budget(5);
    options.plans_per_call = size;
    const SearchResult result = ga::run_gabra(split, options);
    EXPECT_EQ(split.largest_call(), static_cast<std::size_t>(size));
    EXPECT_EQ(result.log, expected.log);
    EXPECT_EQ(result.best, expected.best);
    EXPECT_EQ(split.seen(), whole.seen());
  }
}

TEST(Search, PricesEachPlanOnceWithinTheBudget) {
  FakeEvaluator evaluator(some_problem(3));
  const SearchResult result = ga::run_gabra(evaluator, small_budget(1));
  EXPECT_EQ(result.evaluations, static_cast<std::int64_t>(evaluator.seen().size()));
  EXPECT_LE(result.evaluations, 400);
  const std::set<Plan> distinct(evaluator.seen().begin(), evaluator.seen().end());
  EXPECT_EQ(distinct.size(), evaluator.seen().size());
}

TEST(Search, IsNeverWorseThanABaseline) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    FakeEvaluator evaluator(some_problem(seed));
    SearchOptions options = small_budget(seed);
    options.max_evaluations = 150;
    const SearchResult result = ga::run_gabra(evaluator, options);
    ASSERT_TRUE(result.report);
    const std::vector<ga::Baseline> baselines = ga::evaluate_baselines(evaluator, options);
    ASSERT_EQ(baselines.size(), 5U);
    for (const ga::Baseline& baseline : baselines) {
      ASSERT_TRUE(baseline.report) << baseline.name;
      EXPECT_LE(result.report->step, baseline.report->step) << baseline.name;
    }
  }
}

TEST(Search, FindsThePlanThatFitsAmongManyThatDoNot) {
  // Room for the largest unit's state and a little more: only plans with nearly one unit per device fit.
  Rng rng(21);
  const Problem problem = random_problem({.units = 4, .devices = 4, .global_batch = 8, .is_residual = true}, rng);
  CostModel costs(problem);
  Bytes largest;
  for (std::int32_t unit = 0; unit < 4; ++unit) largest = std::max(largest, costs.state_bytes(unit, unit + 1));
  FakeEvaluator evaluator(problem, largest.value());
  const SearchResult result = ga::run_gabra(evaluator, small_budget(1));
  ASSERT_TRUE(result.best);
  EXPECT_EQ(result.best->stages.size(), 4U);
  EXPECT_FALSE(result.closest);
}

TEST(Search, ReportsTheClosestPlanWhenNothingFits) {
  Rng rng(21);
  const Problem problem = random_problem({.units = 4, .devices = 2, .global_batch = 8, .is_residual = true}, rng);
  CostModel costs(problem);
  // Two devices cannot do better than two of the four equal units each.
  const Bytes least = costs.state_bytes(0, 2);
  FakeEvaluator evaluator(problem, least.value() - 1);
  const SearchResult result = ga::run_gabra(evaluator, small_budget(1));
  EXPECT_FALSE(result.best);
  ASSERT_TRUE(result.closest);
  ASSERT_TRUE(result.closest_reason);
  EXPECT_EQ(result.closest_reason->excess(), Bytes(1));
}

TEST(Search, KeepsTheBestPlanWhenCancelled) {
  FakeEvaluator evaluator(some_problem(4));
  SearchOptions options = small_budget(1);
  options.plans_per_call = 4;
  options.is_cancelled = [&] { return evaluator.seen().size() >= 8; };
  const SearchResult result = ga::run_gabra(evaluator, options);
  EXPECT_TRUE(result.best);
  EXPECT_EQ(result.evaluations, 8);
}

TEST(Search, StopsAtTheTimeLimit) {
  FakeEvaluator evaluator(some_problem(4));
  SearchOptions options = small_budget(1);
  options.time_limit = Seconds(0.0);
  EXPECT_EQ(ga::run_gabra(evaluator, options).evaluations, 0);
}

TEST(Search, ObjectivesOtherThanTimeAreMinimised) {
  // Energy here is the number of devices used: one is least. Memory is least where the largest state is.
  FakeEvaluator evaluator(some_problem(4));
  SearchOptions options = small_budget(1);
  options.objective = ga::Objective::Energy;
  EXPECT_EQ(ga::run_gabra(evaluator, options).report->energy.value(), 1.0);
  const Bytes fastest = ga::run_gabra(evaluator, small_budget(1)).report->peak_memory;
  options.objective = ga::Objective::Memory;
  EXPECT_LE(ga::run_gabra(evaluator, options).report->peak_memory, fastest);
}

TEST(Search, HoldsToAFixedMicroBatchSize) {
  FakeEvaluator evaluator(some_problem(5));
  SearchOptions options = small_budget(1);
  options.space.micro_batch = 2;
  const SearchResult result = ga::run_gabra(evaluator, options);
  EXPECT_EQ(result.best->micro_batches, 4);
  for (const Plan& plan : evaluator.seen()) EXPECT_EQ(plan.micro_batches, 4);
}

TEST(Search, FindsTheEnumeratedOptimumOfAFakeEvaluator) {
  Rng rng(2);
  const Problem problem = random_problem({.units = 3, .devices = 2, .global_batch = 4, .is_unequal = true}, rng);
  FakeEvaluator evaluator(problem);
  SearchOptions options = small_budget(1);
  options.space.buckets = {Bytes(25'000'000)};
  const ga::Optimum optimum = ga::enumerate_optimum(evaluator, options);
  ASSERT_TRUE(optimum.result.report);
  EXPECT_DOUBLE_EQ(ga::run_gabra(evaluator, options).report->step.value(), optimum.result.report->step.value());
}

TEST(Enumeration, CountsItsSpace) {
  // 2 units, 2 devices, batch 2, one bucket size. M = 1: lists of one device, 2 per stage. One stage: 2 lists x 3
  // recomputations = 6; two stages: 2 x 2 lists x 9 = 36; x 3 schedules = 126. M = 2: 4 lists ({0}, {1}, {0 1}, {1 0}):
  // 12 + 16 x 9 = 156, x 3 = 468.
  Rng rng(2);
  FakeEvaluator evaluator(random_problem({.units = 2, .devices = 2, .global_batch = 2}, rng));
  SearchOptions options;
  options.space.buckets = {Bytes(25'000'000)};
  EXPECT_EQ(ga::enumerate_optimum(evaluator, options).space_size, 126 + 468);
  // Without sharing two stages have different devices: M = 1: (6 + 2 x 9) x 3 = 72; M = 2: lists of one device each
  // again, (12 + 2 x 9) x 3 = 90.
  options.space.max_stages_per_device = 1;
  EXPECT_EQ(ga::enumerate_optimum(evaluator, options).space_size, 72 + 90);
}

TEST(Enumeration, RefusesALargeSpaceAtOnce) {
  Rng rng(2);
  SearchOptions options;
  FakeEvaluator devices(random_problem({.units = 2, .devices = 8, .global_batch = 16}, rng));
  EXPECT_THROW(static_cast<void>(ga::enumerate_optimum(devices, options)), InputError);
  FakeEvaluator units(random_problem({.units = 60, .devices = 2, .global_batch = 16}, rng));
  EXPECT_THROW(static_cast<void>(ga::enumerate_optimum(units, options)), InputError);
}

}  // namespace
}  // namespace gabra::test
