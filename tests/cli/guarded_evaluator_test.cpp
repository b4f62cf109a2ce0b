// SPDX-License-Identifier: MIT
#include "guarded_evaluator.hpp"

#include <gtest/gtest.h>

#include <variant>

namespace gabra::cli {
namespace {

/// Answers with a step of 1 s until its calls are used up.
class FailingEvaluator : public Evaluator {
 public:
  explicit FailingEvaluator(int good_calls) : good_calls_(good_calls) {}

  [[nodiscard]] const Problem& problem() const override { return problem_; }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    ++calls;
    if (good_calls_-- <= 0) throw Error("no worker is left");
    StepReport report;
    report.step = Seconds(1.0);
    return std::vector<Evaluation>(plans.size(), report);
  }

  int calls = 0;

 private:
  Problem problem_;
  int good_calls_;
};

TEST(GuardedEvaluator, WhatWasAnsweredBeforeAFailureCounts) {
  FailingEvaluator inner(1);
  Breakdown breakdown;
  GuardedEvaluator guarded(inner, breakdown);
  const std::vector<Plan> plans(2);
  EXPECT_TRUE(std::holds_alternative<StepReport>(guarded.evaluate(plans)[1]));
  EXPECT_FALSE(breakdown.error);
  const std::vector<Evaluation> ended = guarded.evaluate(plans);
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(std::get<Infeasible>(ended[1]).reason, Infeasible::Reason::Failed);
  EXPECT_EQ(breakdown.reason, "no worker is left");
  // Nobody is asked any more, by any evaluator of the search.
  (void)guarded.evaluate(plans);
  EXPECT_EQ(inner.calls, 2);
  FailingEvaluator other(1);
  GuardedEvaluator of_other(other, breakdown);
  EXPECT_TRUE(std::holds_alternative<Infeasible>(of_other.evaluate(plans)[0]));
  EXPECT_EQ(other.calls, 0);
}

TEST(GuardedEvaluator, AFailureBeforeTheFirstAnswerIsThrownOn) {
  FailingEvaluator inner(0);
  Breakdown breakdown;
  GuardedEvaluator guarded(inner, breakdown);
  const std::vector<Plan> plans(1);
  EXPECT_THROW((void)guarded.evaluate(plans), Error);
  EXPECT_FALSE(breakdown.error);
}

TEST(GuardedEvaluator, OneMoreQuestionIsGuardedToo) {
  FailingEvaluator inner(1);
  Breakdown breakdown;
  GuardedEvaluator guarded(inner, breakdown);
  const std::vector<Plan> plans(1);
  (void)guarded.evaluate(plans);
  const auto fail = []() -> Evaluation { throw Error("the job is gone"); };
  EXPECT_TRUE(std::holds_alternative<Infeasible>(guarded.guarded(fail)));
  EXPECT_EQ(breakdown.reason, "the job is gone");
}

}  // namespace
}  // namespace gabra::cli
