// SPDX-License-Identifier: MIT
#include "gabra/ga/hardware_loop.hpp"

#include "random_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace gabra::test {
namespace {

using ga::Correction;
using ga::LoopOptions;
using ga::LoopResult;
using ga::Promoted;

/// Times are the lower bound, times what `truth` says of a plan; devices compute all the time.
class TrueTimes : public Evaluator {
 public:
  using Truth = double (*)(const Plan& plan);

  TrueTimes(Problem problem, Truth truth) : costs_(std::move(problem)), truth_(truth) {}

  [[nodiscard]] const Problem& problem() const override { return costs_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    std::vector<Evaluation> result;
    for (const Plan& plan : plans) {
      asked_.push_back(plan);
      const double factor = truth_(plan);
      if (factor > 0.0)
        result.emplace_back(report_of(plan, factor));
      else
        result.emplace_back(Infeasible{.reason = Infeasible::Reason::Failed,
                                       .message = "it crashed",
                                       .device = {},
                                       .required = {},
                                       .available = {}});
    }
    return result;
  }
  [[nodiscard]] const std::vector<Plan>& asked() const { return asked_; }
  [[nodiscard]] double time_of(const Plan& plan) { return costs_.lower_bound(plan).value() * truth_(plan); }

 private:
  [[nodiscard]] StepReport report_of(const Plan& plan, double factor) {
    StepReport report;
    report.step = costs_.lower_bound(plan) * factor;
    report.samples_per_second = 1.0 / report.step.value();
    std::set<DeviceId> devices;
    for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
    for (const DeviceId device : devices)
      report.devices.push_back({.device = device,
                                .compute = report.step,
                                .exposed_communication = {},
                                .bubble = {},
                                .peak_memory = {},
                                .energy = {}});
    return report;
  }

  CostModel costs_;
  Truth truth_;
  std::vector<Plan> asked_;
};

double as_simulated(const Plan&) { return 1.0; }

/// Small micro-batches, many stages and recomputation are slower than simulated, everything is twice as slow.
double as_measured(const Plan& plan) {
  double factor = 2.0 * std::pow(static_cast<double>(plan.micro_batches), 0.35) *
                  (1.0 + 0.25 * static_cast<double>(plan.stages.size() - 1));
  if (plan.schedule == Schedule::GPipe) factor *= 1.1;
  return factor;
}

Problem small_problem(std::uint64_t seed) {
  Rng rng(seed);
  return random_problem({.units = 6, .devices = 3, .global_batch = 8, .is_residual = false, .is_unequal = false}, rng);
}

LoopOptions budget(std::int64_t measurements) {
  LoopOptions options;
  options.search.seed = 3;
  options.search.population = 16;
  options.search.max_evaluations = 400;
  options.measurements = measurements;
  return options;
}

/// The best of everything that the truth knows, by enumeration.
double best_time(const Problem& problem, TrueTimes::Truth truth) {
  TrueTimes measured(problem, truth);
  ga::SearchOptions options;
  options.uses_bounds = false;
  options.space.max_stages_per_device = 1;
  options.space.buckets = {Bytes(25'000'000)};
  return ga::enumerate_optimum(measured, options).result.report->step.value();
}

TEST(HardwareLoop, FindsTheMeasuredBestWithFewMeasurements) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Problem problem = small_problem(seed);
    TrueTimes simulated(problem, &as_simulated);
    TrueTimes measured(problem, &as_measured);
    LoopOptions options = budget(16);
    options.search.space.max_stages_per_device = 1;
    options.search.space.buckets = {Bytes(25'000'000)};
    const LoopResult result = ga::run_hardware_loop(simulated, measured, options);
    ASSERT_TRUE(result.best.has_value());
    EXPECT_EQ(result.promotions.size(), 16U);
    EXPECT_EQ(measured.asked().size(), 16U);
    EXPECT_DOUBLE_EQ(result.report->step.value(), measured.time_of(*result.best));
    EXPECT_LE(result.report->step.value(), 1.02 * best_time(problem, &as_measured));
  }
}

TEST(HardwareLoop, MeasuresEveryPlanOnceAndReturnsTheMeasuredBest) {
  const Problem problem = small_problem(5);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(12));
  std::set<Plan> plans(measured.asked().begin(), measured.asked().end());
  EXPECT_EQ(plans.size(), 12U);
  double best = 1e300;
  std::set<Promoted> reasons;
  for (const ga::Promotion& promotion : result.promotions) {
    best = std::min(best, std::get<StepReport>(promotion.measured).step.value());
    reasons.insert(promotion.why);
  }
  EXPECT_EQ(result.report->step.value(), best);
  EXPECT_EQ(reasons.size(), 3U);
  // The simulator's own best two families come first, then what it thinks is best.
  EXPECT_EQ(result.promotions.front().why, Promoted::Baseline);
}

TEST(HardwareLoop, WhatIsKnownFromBeforeCostsNothing) {
  const Problem problem = small_problem(5);
  const auto run = [&](const std::set<Plan>& known, std::set<Plan>& made) {
    TrueTimes simulated(problem, &as_simulated);
    TrueTimes measured(problem, &as_measured);
    LoopOptions options = budget(6);
    options.made = [&] {
      made.clear();
      for (const Plan& plan : measured.asked())
        if (!known.contains(plan)) made.insert(plan);
      return static_cast<std::int64_t>(made.size());
    };
    return ga::run_hardware_loop(simulated, measured, options);
  };
  std::set<Plan> first;
  const LoopResult alone = run({}, first);
  EXPECT_EQ(alone.promotions.size(), 6U);
  ASSERT_EQ(first.size(), 6U);
  std::set<Plan> second;
  const LoopResult again = run(first, second);
  EXPECT_GT(again.promotions.size(), 6U);
  EXPECT_EQ(second.size(), 6U);
  EXPECT_LE(again.report->step.value(), alone.report->step.value());
}

TEST(HardwareLoop, ABudgetThatIsNeverUsedEndsWithTheCandidates) {
  Rng rng(3);
  const Problem problem =
      random_problem({.units = 2, .devices = 2, .global_batch = 2, .is_residual = false, .is_unequal = false}, rng);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  LoopOptions options = budget(5);
  options.search.space.buckets = {Bytes(25'000'000)};
  options.search.space.max_stages_per_device = 1;
  options.made = [] { return std::int64_t{0}; };
  const LoopResult result = ga::run_hardware_loop(simulated, measured, options);
  EXPECT_GT(result.promotions.size(), 5U);
  EXPECT_EQ(result.promotions.size(), measured.asked().size());
}

TEST(HardwareLoop, FinalistsAreMeasuredAgainInTurnsAndThoseTimesDecide) {
  const Problem problem = small_problem(5);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  LoopOptions options = budget(24);  // six of them for finalists
  std::vector<Plan> again;
  // What was shortest was so by chance: when it is measured again it takes longer than the others.
  options.measure_again = [&](const Plan& plan) {
    again.push_back(plan);
    TrueTimes anew(problem, &as_measured);
    Evaluation evaluation = anew.evaluate(std::span(&plan, 1)).front();
    StepReport& report = std::get<StepReport>(evaluation);
    report.step = report.step * (plan == again.front() ? 2.0 : 1.1) + Seconds(1e-3 * static_cast<double>(again.size()));
    return evaluation;
  };
  const LoopResult result = ga::run_hardware_loop(simulated, measured, options);
  EXPECT_EQ(measured.asked().size(), 18U);
  ASSERT_EQ(result.promotions.size(), 24U);
  ASSERT_EQ(again.size(), 6U);
  std::vector<std::pair<double, Plan>> singles;
  for (std::size_t i = 0; i < 18; ++i)
    singles.emplace_back(std::get<StepReport>(result.promotions[i].measured).step.value(), result.promotions[i].plan);
  std::sort(singles.begin(), singles.end());
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(result.promotions[18 + i].why, Promoted::Finalist);
    EXPECT_EQ(again[i], again[i % 3]);
    EXPECT_EQ(measured.time_of(again[i]), singles[i % 3].first);
  }
  // 1.1 t + 2 ms and 1.1 t + 5 ms of the second best, whose mean is returned.
  EXPECT_EQ(*result.best, again[1]);
  EXPECT_NEAR(result.report->step.value(), 1.1 * measured.time_of(again[1]) + 3.5e-3, 1e-12);
}

TEST(HardwareLoop, AFinalistThatFailsIsNotReturned) {
  const Problem problem = small_problem(5);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  LoopOptions options = budget(12);
  std::vector<Plan> again;
  options.measure_again = [&](const Plan& plan) {
    again.push_back(plan);
    TrueTimes anew(problem, plan == again.front() ? [](const Plan&) { return 0.0; } : &as_measured);
    return anew.evaluate(std::span(&plan, 1)).front();
  };
  const LoopResult result = ga::run_hardware_loop(simulated, measured, options);
  ASSERT_GE(again.size(), 2U);
  EXPECT_NE(again[1], again[0]);
  EXPECT_EQ(*result.best, again[1]);
}

TEST(HardwareLoop, SaysWhichBaselinesWereMeasured) {
  const Problem problem = small_problem(5);
  const auto measured_baselines = [&](std::int64_t measurements) {
    TrueTimes simulated(problem, &as_simulated);
    TrueTimes measured(problem, &as_measured);
    const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(measurements));
    for (const ga::Baseline& baseline : result.baselines) {
      const bool is_measured =
          std::find(measured.asked().begin(), measured.asked().end(), *baseline.plan) != measured.asked().end();
      EXPECT_EQ(result.measured_baselines.contains(baseline.name), is_measured) << baseline.name;
      if (is_measured) {
        EXPECT_DOUBLE_EQ(baseline.report->step.value(), measured.time_of(*baseline.plan));
      }
    }
    return result.measured_baselines;
  };
  EXPECT_FALSE(measured_baselines(1).contains("one-device"));
  EXPECT_TRUE(measured_baselines(8).contains("one-device"));
}

TEST(HardwareLoop, CorrectionBringsPredictionsNearer) {
  const Problem problem = small_problem(7);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(20));
  const auto error = [&](std::size_t first, std::size_t end) {
    double sum = 0.0;
    for (std::size_t i = first; i < end; ++i) {
      const ga::Promotion& one = result.promotions[i];
      sum += std::abs(one.corrected / std::get<StepReport>(one.measured).step - 1.0);
    }
    return sum / static_cast<double>(end - first);
  };
  // The first ones are known by the simulator alone, half the time at best.
  EXPECT_GT(error(0, 2), 0.4);
  EXPECT_LT(error(14, 20), 0.1);
}

TEST(HardwareLoop, TwoRunsDecideTheSame) {
  const Problem problem = small_problem(9);
  std::vector<std::vector<Plan>> asked;
  for (int run = 0; run < 2; ++run) {
    TrueTimes simulated(problem, &as_simulated);
    TrueTimes measured(problem, &as_measured);
    const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(10));
    asked.push_back(measured.asked());
    EXPECT_FALSE(result.correction.empty());
  }
  EXPECT_EQ(asked[0], asked[1]);
}

TEST(HardwareLoop, WhatCannotBeMeasuredIsPassedOver) {
  const Problem problem = small_problem(11);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, [](const Plan& plan) { return plan.stages.size() == 1 ? 0.0 : as_measured(plan); });
  const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(14));
  ASSERT_TRUE(result.best.has_value());
  EXPECT_GT(result.best->stages.size(), 1U);
  EXPECT_FALSE(result.closest_reason.has_value());
  EXPECT_EQ(result.promotions.size(), 14U);
}

TEST(HardwareLoop, NothingFeasibleIsNoPlanWithAReason) {
  const Problem problem = small_problem(13);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, [](const Plan&) { return 0.0; });
  const LoopResult result = ga::run_hardware_loop(simulated, measured, budget(5));
  EXPECT_FALSE(result.best.has_value());
  ASSERT_TRUE(result.closest_reason.has_value());
  EXPECT_EQ(result.closest_reason->message, "it crashed");
}

TEST(HardwareLoop, ACancelledSearchReturnsWhatItHas) {
  const Problem problem = small_problem(15);
  TrueTimes simulated(problem, &as_simulated);
  TrueTimes measured(problem, &as_measured);
  LoopOptions options = budget(50);
  options.search.is_cancelled = [&] { return measured.asked().size() >= 3; };
  const LoopResult result = ga::run_hardware_loop(simulated, measured, options);
  EXPECT_EQ(result.promotions.size(), 3U);
  EXPECT_TRUE(result.best.has_value());
}

TEST(Correction, KnowsNothingWithoutData) {
  const Correction correction;
  const Correction::Estimate estimate = correction.estimate({0.5, 0.5});
  EXPECT_EQ(estimate.mean, 0.0);
  EXPECT_GT(estimate.deviation, 0.9);
}

TEST(Correction, OneMeasurementIsACommonFactor) {
  Correction correction;
  correction.add({0.2, 0.4}, std::log(1.5));
  EXPECT_NEAR(correction.estimate({0.2, 0.4}).mean, std::log(1.5), 0.01);
  // Elsewhere too, a little less surely.
  EXPECT_NEAR(correction.estimate({0.9, 0.1}).mean, std::log(1.5), 0.1);
  EXPECT_GT(correction.estimate({0.9, 0.1}).deviation, correction.estimate({0.2, 0.4}).deviation);
}

TEST(Correction, LearnsASlope) {
  Correction correction;
  for (int i = 0; i <= 10; ++i) correction.add({0.1 * i, 0.3}, 0.2 + 0.05 * i);
  EXPECT_NEAR(correction.estimate({0.55, 0.3}).mean, 0.2 + 0.5 * 0.55, 0.01);
  EXPECT_LT(correction.left_out_error(), 0.02);
  EXPECT_EQ(correction.size(), 11U);
}

}  // namespace
}  // namespace gabra::test
