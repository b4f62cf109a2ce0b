// SPDX-License-Identifier: MIT
#include "gabra/pool/exec_evaluator.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/network/zoo.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

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
    result.job.restart_pauses = {Seconds(0.0), Seconds(0.0)};
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
  short_limit.building_time = Seconds(0.05);
  EXPECT_NE(replaced_after(short_limit).find("it hangs"), std::string::npos);
}

TEST_F(ExecEvaluatorTest, NoPlanThatKeepsTheLimitIsSaidToHang) {
  ExecEvaluatorOptions usual;
  usual.warm_up = 3;
  usual.steps = 5;
  usual.step_limit = Seconds(60.0);
  // The model's building and one limit more; then eight steps of 60 s.
  EXPECT_DOUBLE_EQ(patience(usual, std::nullopt).value(), 20.0 + 60.0 + 8 * 60.0);
  // Beside a best step of 1 s: three warm-up steps and two that count may take 60 s, then it is given up, or the
  // other three are no slower than ten times the best.
  EXPECT_DOUBLE_EQ(patience(usual, Seconds(1.0)).value(), 20.0 + 60.0 + 5 * 60.0 + 3 * 10.0);
  usual.steps = 1;
  EXPECT_DOUBLE_EQ(patience(usual, Seconds(1.0)).value(), 20.0 + 60.0 + 4 * 60.0);
}

/// A job that can be started `times` times.
std::vector<std::string> that_starts(int times, const std::string& counter, const std::string& mode) {
  return {"/bin/sh", "-c",
          "echo >> " + counter + "; if [ $(wc -l < " + counter + ") -gt " + std::to_string(times) +
              " ]; then echo no memory >&2; exit 1; fi; exec " + FAKE_MEASURE_JOB + " 2 " + mode};
}

TEST_F(ExecEvaluatorTest, AJobThatCannotBeReplacedIsTriedSeveralTimes) {
  std::filesystem::create_directories(folder_);
  const std::string counter = (folder_ / "starts").string();
  ExecEvaluatorOptions once = options();
  once.job.words = that_starts(1, counter, "die");
  ExecEvaluator evaluator(some_problem(), once);
  expect_step(evaluate(evaluator, one()), 0.1);
  (void)evaluate(evaluator, pipeline());
  EXPECT_THROW((void)evaluate(evaluator, two()), Error);
  std::ifstream starts(counter);
  // The first, and three tries after it: at once and after each pause.
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(starts), {}, '\n'), 4);
  EXPECT_EQ(evaluator.job_starts(), 1);
  // What was measured is still known.
  expect_step(evaluate(evaluator, one()), 0.1);
}

TEST_F(ExecEvaluatorTest, AJobThatCanBeReplacedLaterGoesOn) {
  std::filesystem::create_directories(folder_);
  ExecEvaluatorOptions late = options();
  const std::string counter = (folder_ / "starts").string();
  // Its second start fails, the third does not.
  late.job.words = {
      "/bin/sh", "-c",
      "echo >> " + counter + "; [ $(wc -l < " + counter + ") -eq 2 ] && exit 1; exec " FAKE_MEASURE_JOB " 2 die"};
  ExecEvaluator evaluator(some_problem(), late);
  expect_step(evaluate(evaluator, one()), 0.1);
  (void)evaluate(evaluator, pipeline());
  expect_step(evaluate(evaluator, two()), 0.2);
  EXPECT_EQ(evaluator.job_starts(), 2);
}

TEST_F(ExecEvaluatorTest, ACancelledSearchDoesNotWaitForAnotherJob) {
  std::filesystem::create_directories(folder_);
  ExecEvaluatorOptions once = options();
  once.job.words = that_starts(1, (folder_ / "starts").string(), "die");
  once.job.restart_pauses = {Seconds(1e6)};
  bool is_cancelled = false;
  int asked = 0;
  once.is_cancelled = [&] { return is_cancelled && ++asked > 2; };  // not before the job is started again
  ExecEvaluator evaluator(some_problem(), once);
  expect_step(evaluate(evaluator, one()), 0.1);
  (void)evaluate(evaluator, pipeline());
  is_cancelled = true;
  EXPECT_NE(reason(evaluate(evaluator, two())).find("the search was ended"), std::string::npos);
}

TEST_F(ExecEvaluatorTest, APlanIsMeasuredAgainWhenThatIsAskedFor) {
  ExecEvaluator evaluator(some_problem(), options());
  expect_step(evaluate(evaluator, one()), 0.1);
  expect_step(evaluator.measure_again(one()), 0.1);
  expect_step(evaluator.measure_again(two()), 0.2);  // to the end, though it is clearly worse
  EXPECT_EQ(evaluator.asked(), 3);
  EXPECT_EQ(evaluator.measured(), 3);
  EXPECT_EQ(evaluator.given_up(), 0);
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

TEST_F(ExecEvaluatorTest, LessWorkThanIsAskedForIsNotUsedAgain) {
  MeasurementStore store(store_path());
  /// How many of the plans are measured by one more search.
  const auto measured_with = [&](std::int64_t steps, std::int64_t warm_up, const std::vector<Plan>& plans) {
    ExecEvaluatorOptions with = options();
    with.store = &store;
    with.steps = steps;
    with.warm_up = warm_up;
    ExecEvaluator evaluator(some_problem(), with);
    (void)evaluator.evaluate(plans);
    EXPECT_EQ(evaluator.measured() + evaluator.reused(), static_cast<std::int64_t>(plans.size()));
    return evaluator.measured();
  };
  EXPECT_EQ(measured_with(2, 1, {one()}), 1);
  EXPECT_EQ(measured_with(2, 1, {one()}), 0);
  EXPECT_EQ(measured_with(50, 1, {one()}), 1);
  EXPECT_EQ(measured_with(50, 1, {one()}), 0);
  EXPECT_EQ(measured_with(2, 1, {one()}), 0);
  EXPECT_EQ(measured_with(2, 3, {one()}), 1);
  EXPECT_EQ(measured_with(2, 3, {one()}), 0);
  EXPECT_EQ(measured_with(50, 1, {one()}), 0);  // a later line of less work hides nothing
  // What was given up serves where it would be given up now, not where it is the first.
  EXPECT_EQ(measured_with(5, 1, {one(), two()}), 1);
  EXPECT_EQ(measured_with(5, 1, {one(), two()}), 0);
  EXPECT_EQ(measured_with(5, 1, {two()}), 1);
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
