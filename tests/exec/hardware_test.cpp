// SPDX-License-Identifier: MIT
// `gabra optimize --evaluator exec|both` with real ranks that are killed and stopped.
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>

namespace gabra::test {
namespace {

using nlohmann::json;

class HardwareInTheLoop : public TrainingCase {
 protected:
  [[nodiscard]] static std::string line(const std::string& evaluator, const std::string& more = "") {
    return "optimize --network " + std::string(kNetwork) +
           " --global-batch 4 --min-micro-batch 2 --bucket 25MB --evaluator " + evaluator +
           " --devices cpu:2 --measurements store.jsonl --warm-up 1 " + more;
  }
  [[nodiscard]] std::size_t kept() const { return line_count(folder_.file("store.jsonl")); }

  /// A search of some 20 plans and more; `harm` is done to the second rank of the job once two plans are measured.
  json search_with(const std::function<void(pid_t rank)>& harm, const std::string& more) {
    TrainingRun run(split_words(line("exec", "--max-evaluations 4 --json " + more)), folder_.path());
    EXPECT_TRUE(run.wait_until([&] { return kept() >= 2 && run.ranks().size() == 2; })) << run.err();
    const auto first = run.ranks();
    if (first.size() != 2) return json::object();
    harm(first[1]);
    const auto end = run.wait(60.0);
    EXPECT_TRUE(end.has_value()) << "still running: " << run.err();
    if (!end) return json::object();
    EXPECT_EQ(end->status, 0) << end->err;
    for (const pid_t process : first) EXPECT_FALSE(is_alive(process));
    return json::parse(end->out);
  }

  static std::vector<std::string> reasons(const json& report) {
    std::vector<std::string> result;
    for (const json& one : report.at("measurements"))
      if (one.at("measured_step_s").is_null()) result.push_back(one.at("infeasible").at("message"));
    return result;
  }
};

TEST_F(HardwareInTheLoop, EveryPlanIsMeasuredAndKept) {
  const json first = run_json(line("exec", "--measure-steps 2 --max-evaluations 6 -o plan.json"));
  EXPECT_EQ(first.at("evaluator"), "exec");
  EXPECT_EQ(first.at("job_starts"), 1);
  EXPECT_EQ(first.at("cluster"), "workstation-cpu:gpus=2");
  const std::int64_t measured = first.at("measured");
  EXPECT_GT(measured, 6);
  EXPECT_EQ(first.at("reused"), 0);
  double best = 1e300;
  for (const json& one : first.at("measurements")) best = std::min(best, one.at("measured_step_s").get<double>());
  EXPECT_EQ(first.at("step_time_s").get<double>(), best);
  EXPECT_EQ(kept(), static_cast<std::size_t>(measured));
  // The plan is one that trains.
  (void)run("train --plan plan.json --synthetic --steps 2 --quiet");
  // What is kept is not measured again, unless it is asked for.
  const json again = run_json(line("exec", "--measure-steps 2 --max-evaluations 6"));
  EXPECT_GE(again.at("reused").get<std::int64_t>(), measured / 2);
  EXPECT_EQ(again.at("step_time_s"), first.at("step_time_s"));
  const json anew = run_json(line("both", "--measure-steps 2 --measure 2 --no-reuse"));
  EXPECT_EQ(anew.at("measured"), 2);
  EXPECT_EQ(anew.at("reused"), 0);
}

TEST_F(HardwareInTheLoop, BothMeasuresWhatItPromotes) {
  const json report = run_json(line("both", "--measure 7 --measure-steps 2"));
  EXPECT_EQ(report.at("evaluator"), "both");
  EXPECT_EQ(report.at("measured"), 7);
  ASSERT_EQ(report.at("measurements").size(), 7U);
  double best = 1e300;
  for (const json& one : report.at("measurements")) {
    best = std::min(best, one.at("measured_step_s").get<double>());
    EXPECT_GT(one.at("simulated_step_s").get<double>(), 0.0);
    EXPECT_GT(one.at("corrected_step_s").get<double>(), 0.0);
  }
  EXPECT_EQ(report.at("step_time_s").get<double>(), best);
  EXPECT_NE(report.at("correction").get<std::string>().find("7 plans"), std::string::npos);
  EXPECT_GT(report.at("evaluations").get<std::int64_t>(), 50);
}

TEST_F(HardwareInTheLoop, FinalistsAreMeasuredAgain) {
  const json report = run_json(line("both", "--measure 8 --measure-steps 2"));
  EXPECT_EQ(report.at("measured"), 8);
  EXPECT_EQ(report.at("measured_again"), 2);
  const json& last = report.at("measurements").back();
  EXPECT_EQ(last.at("promoted_as"), "finalist");
  std::vector<double> again;
  for (const json& one : report.at("measurements"))
    if (one.at("promoted_as") == "finalist") again.push_back(one.at("measured_step_s"));
  ASSERT_EQ(again.size(), 2U);
  // One finalist that was measured twice, or the better of two.
  const double step = report.at("step_time_s");
  EXPECT_TRUE(std::abs(step - (again[0] + again[1]) / 2.0) < 1e-9 || step == std::min(again[0], again[1])) << step;
  EXPECT_EQ(report.at("baselines").at("one-device").at("is_measured"), true);
}

TEST_F(HardwareInTheLoop, AJobThatCannotBeReplacedEndsTheSearchWithTheBestPlan) {
  write_text(folder_.file("hosts"), "localhost slots=2\n");
  TrainingRun run(
      split_words(line("exec", "--max-evaluations 40 --json -o plan.json --hostfile hosts --measure-steps 30")),
      folder_.path());
  ASSERT_TRUE(run.wait_until([&] { return kept() >= 2 && run.ranks().size() == 2; })) << run.err();
  write_text(folder_.file("hosts"), "no-such-host.invalid slots=2\n");
  ::kill(run.ranks()[1], SIGKILL);
  const auto end = run.wait(120.0);
  ASSERT_TRUE(end.has_value()) << "still running: " << run.err();
  EXPECT_EQ(end->status, 0) << end->err;
  EXPECT_NE(end->err.find("the search ended before its time: the job that measures could not be started"),
            std::string::npos)
      << end->err;
  const json report = json::parse(end->out);
  EXPECT_TRUE(report.contains("breakdown"));
  EXPECT_GT(report.at("step_time_s").get<double>(), 0.0);
  EXPECT_TRUE(std::filesystem::exists(folder_.file("plan.json")));
}

TEST_F(HardwareInTheLoop, AKilledRankCostsOnePlanAndAnotherJobGoesOn) {
  const json report = search_with([](pid_t rank) { ::kill(rank, SIGKILL); }, "--measure-steps 30");
  ASSERT_TRUE(report.contains("failed"));
  EXPECT_EQ(report.at("job_starts"), 2);
  const auto found = reasons(report);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found.front().find("signal 9"), std::string::npos) << found.front();
}

TEST_F(HardwareInTheLoop, AHangingRankIsNoticedAndReplaced) {
  const json report = search_with([](pid_t rank) { ::kill(rank, SIGSTOP); }, "--measure-steps 30 --step-limit 1s");
  ASSERT_TRUE(report.contains("failed"));
  EXPECT_EQ(report.at("job_starts"), 2);
  EXPECT_EQ(reasons(report).size(), 1U);
}

TEST_F(HardwareInTheLoop, WhatCannotBeMeasuredIsSaidBeforeAnythingStarts) {
  const auto err = [this](const std::string& words) { return run("optimize " + words, 2).err; };
  const std::string problem = "--network " + std::string(kNetwork) + " --global-batch 4 ";
  const std::string several =
      err(problem + "--cluster dgx1-v100 --evaluator both --devices cpu:2 --measure 0 --step-limit 3");
  EXPECT_NE(several.find("2 ranks for the 8 devices"), std::string::npos) << several;
  EXPECT_NE(several.find("--measure"), std::string::npos) << several;
  EXPECT_NE(several.find("--step-limit"), std::string::npos) << several;
  EXPECT_NE(err(problem + "--evaluator exec").find("--devices"), std::string::npos);
  EXPECT_NE(err(problem + "--evaluator exec --devices gpu:2").find("cpu:N or cuda:N"), std::string::npos);
  EXPECT_NE(err(problem + "--devices cpu:2").find("without --evaluator"), std::string::npos);
  EXPECT_NE(err(problem + "--evaluator exec --devices cpu:2 --objective memory").find("--objective"),
            std::string::npos);
  EXPECT_NE(err(problem + "--evaluator exec --devices cpu:2 --measure 3").find("--measure"), std::string::npos);
}

TEST_F(HardwareInTheLoop, AJobThatCannotStartIsStatus3) {
  const Outcome outcome = run(line("exec", "--hosts no-such-host.invalid"), 3);
  EXPECT_NE(outcome.err.find("could not be started"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace gabra::test
