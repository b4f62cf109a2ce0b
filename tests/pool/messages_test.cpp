// SPDX-License-Identifier: MIT
#include "gabra/pool/messages.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/pool/worker.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "support/random_problem.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <sstream>
#include <string>

namespace gabra::pool {
namespace {

Problem some_problem() {
  Problem problem;
  problem.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32"));
  problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("dgx1-v100"));
  problem.training = {
      .global_batch = 16, .optimizer = Optimizer::AdamW, .clip_norm = 0.1, .gradient_sum = GradientSum::Wide};
  return problem;
}

/// Texts of equal lines are equal, and numbers are written exactly.
std::string text_of(const Evaluation& evaluation) { return to_line(0, evaluation); }

double any_number(Rng& rng) { return std::ldexp(rng.uniform() - 0.5, static_cast<int>(rng.between(-300, 300))); }

StepReport random_report(Rng& rng) {
  StepReport report;
  report.step = Seconds(any_number(rng));
  report.samples_per_second = any_number(rng);
  report.bubble_fraction = rng.uniform();
  report.exposed_communication = Seconds(any_number(rng));
  report.peak_memory = Bytes(rng.between(0, std::int64_t{1} << 62U));
  report.energy = Joules(any_number(rng));
  for (std::int64_t i = rng.between(0, 5); i > 0; --i)
    report.devices.push_back({DeviceId(static_cast<std::int32_t>(i)), Seconds(any_number(rng)),
                              Seconds(any_number(rng)), Seconds(0.0), Bytes(rng.between(0, 1000)),
                              Joules(any_number(rng))});
  for (std::int64_t i = rng.between(0, 5); i > 0; --i)
    report.links.push_back({LinkId(static_cast<std::int32_t>(i)), any_number(rng), Seconds(any_number(rng))});
  return report;
}

TEST(PoolMessages, ReportsKeepEveryBit) {
  Rng rng(1);
  for (int i = 0; i < 500; ++i) {
    const Evaluation report = random_report(rng);
    const auto message = parse_message(to_line(i, report));
    ASSERT_TRUE(message);
    const auto& answer = std::get<Answer>(*message);
    EXPECT_EQ(answer.id, i);
    EXPECT_EQ(text_of(answer.evaluation), text_of(report));
  }
}

TEST(PoolMessages, ReasonsKeepEverything) {
  Infeasible shortage{Infeasible::Reason::Memory, {}, DeviceId(3), Bytes(40), Bytes(30), {}};
  for (std::size_t i = 0; i < kMemoryCategoryCount; ++i) shortage.breakdown[i] = Bytes(static_cast<std::int64_t>(i));
  const auto parsed = std::get<Infeasible>(std::get<Answer>(*parse_message(to_line(5, shortage))).evaluation);
  EXPECT_EQ(parsed.reason, Infeasible::Reason::Memory);
  EXPECT_EQ(parsed.excess(), Bytes(10));
  EXPECT_EQ(parsed.breakdown, shortage.breakdown);
  for (const auto reason : {Infeasible::Reason::Structure, Infeasible::Reason::Failed}) {
    Infeasible infeasible;
    infeasible.reason = reason;
    infeasible.message = "a \"quoted\" text,\nof two lines }";
    const auto back = std::get<Infeasible>(std::get<Answer>(*parse_message(to_line(5, infeasible))).evaluation);
    EXPECT_EQ(back.reason, reason);
    EXPECT_EQ(back.message, infeasible.message);
  }
}

TEST(PoolMessages, PlansComeBackEqual) {
  Rng rng(2);
  const Problem problem = test::random_problem(rng);
  for (int i = 0; i < 200; ++i) {
    const Plan plan = test::random_plan(problem, rng);
    const auto back = parse_plan_line(to_line(i, plan));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->id, i);
    EXPECT_EQ(back->plan, plan);
  }
}

TEST(PoolMessages, TheHeaderCarriesTheProblemExactly) {
  const Problem problem = some_problem();
  const std::string line = to_line(Header{.build = "1 2", .problem = problem});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Header header = parse_header(line);
  EXPECT_EQ(header.build, "1 2");
  EXPECT_EQ(header.problem.network->fingerprint(), problem.network->fingerprint());
  EXPECT_EQ(header.problem.cluster->fingerprint(), problem.cluster->fingerprint());
  EXPECT_EQ(header.problem.training.global_batch, 16);
  EXPECT_EQ(header.problem.training.optimizer, Optimizer::AdamW);
  EXPECT_EQ(header.problem.training.clip_norm, 0.1);
  EXPECT_EQ(header.problem.training.gradient_sum, GradientSum::Wide);
  EXPECT_EQ(to_line(header), line);
}

TEST(PoolMessages, FaultsOfAHeaderHaveAPlace) {
  try {
    (void)parse_header(
        R"({"schema":"gabra/work/2","build":"x","training":{"global_batch":0,"precision":"float8"},"network":{}})");
    FAIL() << "it was read";
  } catch (const InputError& error) {
    const std::string text = error.what();
    for (const char* place : {"header: $.schema", "header: $.training.global_batch", "header: $.training.precision",
                              "header: $.network", "header: $.cluster"})
      EXPECT_NE(text.find(place), std::string::npos) << place << " is missing in\n" << text;
  }
}

TEST(PoolMessages, RareMessages) {
  EXPECT_EQ(std::get<Ready>(*parse_message(to_line(Ready{"0.1.0 ab", 3}))).slots, 3);
  EXPECT_EQ(std::get<Slots>(*parse_message(R"({"slots":7})")).slots, 7);
  EXPECT_EQ(std::get<Note>(*parse_message(R"({"note":"a node joined"})")).text, "a node joined");
  EXPECT_EQ(std::get<Failed>(*parse_message(to_line(Failed{"no cluster"}))).message, "no cluster");
  const auto lost =
      std::get<Lost>(*parse_message(R"({"lost":[4,5],"culprit":4,"from_outside":true,"reason":"it was killed"})"));
  EXPECT_EQ(lost.ids, (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(lost.culprit, 4);
  EXPECT_TRUE(lost.from_outside);
}

/// Lines that were cut or changed are read as something or refused, and nothing worse.
TEST(PoolMessages, DamagedLinesAreRefused) {
  Rng rng(3);
  const std::string whole = to_line(7, random_report(rng));
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(parse_message(whole.substr(0, length))) << length;
  EXPECT_FALSE(parse_message(whole + "x"));
  EXPECT_FALSE(parse_message("{\"id\":7,\"step_s\":nan}"));
  for (const char* line : {"", "7", "[]", "{}", "{\"slots\":-1}", "{\"slots\":1,\"other\":2}", "what?"})
    EXPECT_FALSE(parse_message(line)) << line;
  const Problem problem = test::random_problem(rng);
  for (int i = 0; i < 3000; ++i) {
    std::string line = i % 2 == 0 ? whole : to_line(i, test::random_plan(problem, rng));
    line[rng.below(line.size())] = static_cast<char>(rng.between(1, 255));
    (void)parse_message(line);
    (void)parse_plan_line(line);
  }
}

TEST(Worker, AnswersEveryPlanInOrderAsInThisProcess) {
  const Problem problem = some_problem();
  sim::SimEvaluator simulator(problem);
  Rng rng(4);
  std::stringstream in;
  std::stringstream out;
  in << to_line(Header{.build = "b", .problem = problem}) << '\n';
  std::vector<std::string> expected{to_line(Ready{"b", 1})};
  for (int i = 0; i < 20; ++i) {
    const Plan plan = test::random_plan(problem, rng);
    in << to_line(i, plan) << '\n';
    expected.push_back(to_line(i, simulator.evaluate(plan)));
  }
  EXPECT_TRUE(
      serve_plans(in, out, "b", [](Problem given) { return std::make_unique<sim::SimEvaluator>(std::move(given)); }));
  std::string line;
  for (const std::string& answer : expected) {
    ASSERT_TRUE(std::getline(out, line));
    EXPECT_EQ(line, answer);
  }
  EXPECT_FALSE(std::getline(out, line));
}

TEST(Worker, SaysWhatItDoesNotUnderstand) {
  const auto talk = [](const std::string& text) {
    std::stringstream in(text);
    std::stringstream out;
    EXPECT_FALSE(
        serve_plans(in, out, "b", [](Problem given) { return std::make_unique<sim::SimEvaluator>(std::move(given)); }));
    std::string line;
    std::string last;
    while (std::getline(out, line)) last = line;
    const auto message = parse_message(last);
    return message && std::holds_alternative<Failed>(*message) ? std::get<Failed>(*message).message : "";
  };
  EXPECT_NE(talk("hello\n").find("header"), std::string::npos);
  const std::string header = to_line(Header{.build = "b", .problem = some_problem()});
  EXPECT_EQ(talk(header + "\nhello\n"), "no plan of gabra/work/1: \"hello\"");
  EXPECT_EQ(talk(to_line(Header{.build = "c", .problem = some_problem()}) + "\n"),
            "this worker is gabra b, the search is gabra c");
}

}  // namespace
}  // namespace gabra::pool
