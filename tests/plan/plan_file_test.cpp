// SPDX-License-Identifier: MIT
#include "gabra/plan/plan_file.hpp"

#include "gabra/core/error.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gabra {
namespace {

using test::stage;

PlanFile some_file() {
  PlanFile file{.problem = test::toy_problem(test::equal_layers(4), {.devices = 3}, 8),
                .plan = {},
                .profile_fingerprint = {},
                .seed = {}};
  file.problem.training.precision = Precision::Bfloat16;
  file.problem.training.optimizer = Optimizer::AdamW;
  file.problem.training.clip_norm = 0.1;
  file.problem.training.gradient_sum = GradientSum::Wide;
  file.plan = {.micro_batches = 4,
               .schedule = Schedule::GPipe,
               .bucket = Bytes(12345),
               .stages = {stage(0, 1, {2, 0}, Recompute::ExceptLast), stage(1, 4, {1})}};
  file.seed = 18446744073709551615U;
  return file;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> places(const std::string& text, std::shared_ptr<const Cluster> cluster = nullptr) {
  std::vector<std::string> result;
  try {
    (void)parse_plan(text, "plan.json", std::move(cluster));
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) result.push_back(fault.where);
  }
  return result;
}

TEST(PlanFile, ReadsBackIdentically) {
  const PlanFile file = some_file();
  const std::string text = to_json_text(file);
  const PlanFile again = parse_plan(text, "plan.json");
  EXPECT_EQ(again.plan, file.plan);
  EXPECT_EQ(again.seed, file.seed);
  EXPECT_EQ(again.problem.training.precision, Precision::Bfloat16);
  EXPECT_EQ(again.problem.training.optimizer, Optimizer::AdamW);
  EXPECT_EQ(again.problem.training.clip_norm, 0.1);
  EXPECT_EQ(again.problem.training.gradient_sum, GradientSum::Wide);
  EXPECT_EQ(again.problem.network->fingerprint(), file.problem.network->fingerprint());
  EXPECT_EQ(again.problem.cluster->fingerprint(), file.problem.cluster->fingerprint());
  EXPECT_EQ(to_json_text(again), text);
}

TEST(PlanFile, ReportsFaultsOfNetworkClusterAndPlanTogether) {
  std::string text = to_json_text(some_file());
  text = replaced(text, "\"global_batch\": 8", "\"global_batch\": -8");
  text = replaced(text, "\"gabra/network/1\"", "\"gabra/network/9\"");
  text = replaced(text, "\"gabra/cluster/1\"", "7");
  text = replaced(text, "\"gpipe\"", "\"gpip\"");
  EXPECT_EQ(places(text), (std::vector<std::string>{"plan.json: $.network.schema", "plan.json: $.cluster.schema",
                                                    "plan.json: $.training.global_batch", "plan.json: $.schedule"}));
}

TEST(PlanFile, ReportsStructureWithItsPath) {
  const std::string text = to_json_text(some_file());
  EXPECT_EQ(places(replaced(text, "\"last_unit\": 3", "\"last_unit\": 2")),
            std::vector<std::string>{"plan.json: $.stages[1].last_unit"});
  EXPECT_EQ(places(replaced(text, "\"micro_batches\": 4", "\"micro_batches\": 3")),
            std::vector<std::string>{"plan.json: $.micro_batches"});
  EXPECT_EQ(places(replaced(text, "\"d2\"", "\"d9\"")), std::vector<std::string>{"plan.json: $.stages[0].devices[0]"});
}

TEST(PlanFile, RefusesWhatIsNoPlan) {
  const std::string text = to_json_text(some_file());
  EXPECT_EQ(places("").size(), 1U);
  EXPECT_EQ(places("null").size(), 1U);
  EXPECT_EQ(places("[]").size(), 1U);
  EXPECT_FALSE(places("{}").empty());
  EXPECT_EQ(places(text.substr(0, text.size() / 2)).size(), 1U) << "truncated";
  EXPECT_EQ(places(replaced(text, "\"seed\"", "\"sead\"")), std::vector<std::string>{"plan.json: $.sead"});
}

TEST(PlanFile, TakesAnotherClusterWithTheSameDevices) {
  const std::string text = to_json_text(some_file());
  const auto faster = test::toy_cluster({.devices = 3, .bandwidth = 5e9});
  const PlanFile file = parse_plan(text, "plan.json", faster);
  EXPECT_EQ(file.problem.cluster, faster);
  EXPECT_EQ(file.plan, some_file().plan);
  EXPECT_EQ(places(text, test::toy_cluster({.devices = 2})), std::vector<std::string>{"--cluster"});
  EXPECT_EQ(places(text, test::toy_cluster({.devices = 5})), (std::vector<std::string>{"--cluster", "--cluster"}));
}

TEST(PlanFile, KeepsTheProfilesFingerprint) {
  PlanFile file = some_file();
  Profile profile;
  profile.add("toy", "l0", {{.micro_batch = 1, .forward = Seconds(1.0), .backward = Seconds(2.0)}});
  file.problem.profile = std::make_shared<const Profile>(profile);
  const std::string text = to_json_text(file);
  const PlanFile alone = parse_plan(text, "plan.json");
  EXPECT_EQ(alone.profile_fingerprint, profile.fingerprint());
  EXPECT_EQ(alone.problem.profile, nullptr);
  EXPECT_EQ(to_json_text(alone), text);
}

}  // namespace
}  // namespace gabra
