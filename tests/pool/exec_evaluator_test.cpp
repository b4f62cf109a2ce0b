// SPDX-License-Identifier: MIT
#include "gabra/pool/exec_evaluator.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/network/zoo.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace gabra::pool {
namespace {

Problem some_problem() {
  Problem problem;
  problem.network = std::make_shared<Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x16x16x16"));
  problem.cluster = std::make_shared<Cluster>(make_preset_cluster("workstation-cpu:gpus=2"));
  problem.training.global_batch = 8;
  return problem;
}

Plan plan_of(const char* stages, std::int64_t micro_batches) {
  const Problem problem = some_problem();
  Plan plan;
  plan.micro_batches = micro_batches;
  plan.stages = parse_stages(stages, *problem.network, *problem.cluster);
  return plan;
}

Plan one() { return plan_of("0-12@0", 1); }             // 0.1 s
Plan two() { return plan_of("0-12@0,1", 2); }           // 0.2 s
Plan pipeline() { return plan_of("0-5@0 6-12@1", 4); }  // 0.8 s, or what the job does instead

class ExecEvaluatorTest : public ::testing::Test {
 protected:
  ExecEvaluatorTest()
      : folder_(std::filesystem::temp_directory_path() / ("gabra-store-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
  }
  ~ExecEvaluatorTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] static ExecEvaluatorOptions options(const std::string& mode = "", const std::string& ranks = "2") {
    ExecEvaluatorOptions result;
    result.job.words = {FAKE_MEASURE_JOB, ranks, mode};
    result.job.ranks = 2;
    result.job.start_limit = Seconds(20.0);
    return result;
  }
  [[nodiscard]] std::string store_path() const { return (folder_ / "below" / "store.jsonl").string(); }

  static Evaluation evaluate(ExecEvaluator& evaluator, const Plan& plan) {
    return evaluator.evaluate(std::span(&plan, 1)).front();
  }
  static void expect_step(const Evaluation& evaluation, double seconds) {
    ASSERT_TRUE(std::holds_alternative<StepReport>(evaluation)) << std::get<Infeasible>(evaluation).message;
    EXPECT_DOUBLE_EQ(std::get<StepReport>(evaluation).step.value(), seconds);
  }
  static std::string reason(const Evaluation& evaluation) {
    const auto* infeasible = std::get_if<Infeasible>(&evaluation);
    if (infeasible == nullptr) return "it is feasible";
    EXPECT_EQ(infeasible->reason, Infeasible::Reason::Failed);
    return infeasible->message;
  }

  std::filesystem::path folder_;
};

TEST_F(ExecEvaluatorTest, OneJobMeasuresAllPlansEachOnce) {
  ExecEvaluator evaluator(some_problem(), options());
  const std::vector<Plan> plans{one(), two(), one(), pipeline()};
  const std::vector<Evaluation> found = evaluator.evaluate(plans);
  expect_step(found[0], 0.1);
  expect_step(found[1], 0.2);
  expect_step(found[2], 0.1);
  expect_step(found[3], 0.8);
  EXPECT_EQ(evaluator.measured(), 3);
  EXPECT_EQ(evaluator.given_up(), 2);  // 0.2 and 0.8 s are clearly worse than 0.1 s
  EXPECT_EQ(evaluator.job_starts(), 1);
}

/// What becomes of a plan over which the job misbehaves; the plans after it are measured by another job.
std::string replaced_after(ExecEvaluatorOptions options) {
  ExecEvaluator evaluator(some_problem(), std::move(options));
  const std::vector<Plan> plans{one(), pipeline(), two()};
  const std::vector<Evaluation> found = evaluator.evaluate(plans);
  EXPECT_TRUE(std::holds_alternative<StepReport>(found[0]));
  EXPECT_TRUE(std::holds_alternative<StepReport>(found[2]));
  EXPECT_EQ(evaluator.job_starts(), 2);
  EXPECT_EQ(evaluator.failed(), 1);
  const auto* infeasible = std::get_if<Infeasible>(&found[1]);
  return infeasible == nullptr ? "it is feasible" : infeasible->message;
}

TEST_F(ExecEvaluatorTest, AJobThatDiesIsReplacedAndThePlanHasItsReason) {
  EXPECT_EQ(replaced_after(options("die")), "rank 1: not enough memory: 12 GB asked for");
}

TEST_F(ExecEvaluatorTest, AJobThatHangsIsReplaced) {
  ExecEvaluatorOptions short_limit = options("hang");
  short_limit.step_limit = Seconds(0.05);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(replaced_after(short_limit).find("it hangs"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(ExecEvaluatorTest, AnswersThatAreNoneAreFailures) {
  EXPECT_NE(replaced_after(options("garble")).find("an answer that is none"), std::string::npos);
  EXPECT_NE(replaced_after(options("wrong-id")).find("another plan"), std::string::npos);
}

TEST_F(ExecEvaluatorTest, ARefusalIsBadInput) {
  ExecEvaluator evaluator(some_problem(), options("refuse"));
  EXPECT_THROW((void)evaluate(evaluator, pipeline()), InputError);
}

TEST_F(ExecEvaluatorTest, AJobThatCannotStartIsAnErrorThatSaysWhy) {
  const auto message = [](ExecEvaluatorOptions given) -> std::string {
    ExecEvaluator evaluator(some_problem(), std::move(given));
    try {
      (void)evaluator.start();
    } catch (const InputError&) {
      return "bad input";
    } catch (const Error& error) {
      return error.what();
    }
    return "it started";
  };
  EXPECT_NE(message(options("no-greeting")).find("command not found"), std::string::npos);
  ExecEvaluatorOptions mute = options("mute");
  mute.job.start_limit = Seconds(0.3);
  EXPECT_NE(message(mute).find("did not greet within"), std::string::npos);
  EXPECT_NE(message(options("", "3")).find("3 ranks, and 2 were asked for"), std::string::npos);
  ExecEvaluatorOptions missing = options();
  missing.job.words = {"/no/such/program"};
  EXPECT_NE(message(missing).find("/no/such/program"), std::string::npos);
}

TEST_F(ExecEvaluatorTest, PlansThatCannotBeCompiledAreNotMeasured) {
  ExecEvaluator evaluator(some_problem(), options());
  Plan wrong = one();
  wrong.micro_batches = 3;  // does not divide 8
  const Evaluation found = evaluate(evaluator, wrong);
  ASSERT_TRUE(std::holds_alternative<Infeasible>(found));
  EXPECT_EQ(std::get<Infeasible>(found).reason, Infeasible::Reason::Structure);
  EXPECT_EQ(evaluator.measured(), 0);
}

TEST_F(ExecEvaluatorTest, ACancelledSearchMeasuresNoMore) {
  ExecEvaluatorOptions cancelled = options("hang");
  bool is_cancelled = false;
  cancelled.is_cancelled = [&] { return is_cancelled; };
  cancelled.on_measured = [&](const Plan&, const Evaluation&, bool) { is_cancelled = true; };
  ExecEvaluator evaluator(some_problem(), cancelled);
  expect_step(evaluate(evaluator, one()), 0.1);
  EXPECT_NE(reason(evaluate(evaluator, pipeline())).find("ended"), std::string::npos);
}

TEST_F(ExecEvaluatorTest, MeasurementsAreKeptAndFoundAgain) {
  {
    MeasurementStore store(store_path());
    EXPECT_EQ(store.size(), 0U);
    ExecEvaluatorOptions with = options();
    with.store = &store;
    with.now = [] { return std::int64_t{1700000000}; };
    ExecEvaluator evaluator(some_problem(), with);
    (void)evaluate(evaluator, two());
    (void)evaluate(evaluator, one());
    EXPECT_EQ(evaluator.measured(), 2);
  }
  MeasurementStore store(store_path());
  EXPECT_EQ(store.size(), 2U);
  ExecEvaluatorOptions with = options("die");
  with.store = &store;
  ExecEvaluator evaluator(some_problem(), with);
  expect_step(evaluate(evaluator, one()), 0.1);
  expect_step(evaluate(evaluator, two()), 0.2);
  EXPECT_EQ(evaluator.reused(), 2);
  EXPECT_EQ(evaluator.measured(), 0);
  // Another global batch is another measurement; --no-reuse measures again.
  Problem other = some_problem();
  other.training.global_batch = 16;
  ExecEvaluatorOptions plain = options();
  plain.store = &store;
  ExecEvaluator on_other(other, plain);
  (void)evaluate(on_other, one());
  EXPECT_EQ(on_other.measured(), 1);
  plain.reuses = false;
  ExecEvaluator again(some_problem(), plain);
  (void)evaluate(again, one());
  EXPECT_EQ(again.measured(), 1);
}

TEST_F(ExecEvaluatorTest, AStoreWithDamagedLinesIsStillRead) {
  {
    MeasurementStore store(store_path());
    ExecEvaluatorOptions with = options();
    with.store = &store;
    ExecEvaluator evaluator(some_problem(), with);
    (void)evaluate(evaluator, one());
  }
  std::ofstream(store_path(), std::ios::app) << "{\"schema\": \"gabra/measurement/1\", \"netw\n[]\n{}\n";
  const MeasurementStore store(store_path());
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.unreadable_lines(), 3U);
}

TEST_F(ExecEvaluatorTest, AStoreThatCannotBeWrittenSaysSo) {
  MeasurementStore store("/proc/no/such/store.jsonl");
  ExecEvaluatorOptions with = options();
  with.store = &store;
  ExecEvaluator evaluator(some_problem(), with);
  EXPECT_THROW((void)evaluate(evaluator, one()), InputError);
}

TEST(ReasonOf, TakesTheRankThatFailedFirst) {
  EXPECT_EQ(reason_of("gabra-exec: rank 0: stopped by SIGTERM in step 3, while computing\n"
                      "gabra-exec: rank 1: CUDA out of memory\n"),
            "rank 1: CUDA out of memory");
  EXPECT_EQ(reason_of("mpirun noticed that process rank 1 with PID 17 on node here exited on signal 9 (Killed).\n"),
            "rank 1 was ended by signal 9 (Killed), as the system does when memory is short");
  EXPECT_EQ(reason_of("gabra-exec: rank 0: stopped by SIGTERM in step 3, while computing\n"),
            "rank 0: stopped by SIGTERM in step 3, while computing");
  EXPECT_EQ(reason_of("what?\n"), "what?");
  EXPECT_EQ(reason_of(""), "");
}

}  // namespace
}  // namespace gabra::pool
