// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace gabra::test {
namespace {

using nlohmann::json;

const std::string kSmallRun =
    " --network 3d-resattnet-18:width=8,input=1x32x32x32 --cluster workstation-2 --global-batch 8 ";

class Command : public ::testing::Test {
 protected:
  /// Runs, expects `status`.
  Outcome run(const std::string& line, int status = 0) {
    Outcome result = run_gabra(split_words(line), folder_.path());
    EXPECT_EQ(result.status, status) << line << "\n" << result.err;
    return result;
  }
  json run_json(const std::string& line, int status = 0) { return json::parse(run(line + " --json", status).out); }

  TemporaryFolder folder_;
};

TEST_F(Command, HelpAndVersion) {
  EXPECT_TRUE(run("--version").out.starts_with("gabra "));
  for (const char* line : {"--help", "optimize --help", "simulate --help", "describe --help", "describe plan --help"})
    EXPECT_NE(run(line).out.find("--help"), std::string::npos) << line;
}

TEST_F(Command, ZooNamesWhatIsBuiltIn) {
  const json zoo = run_json("zoo");
  EXPECT_EQ(zoo.at("networks").size(), 11U);
  EXPECT_EQ(zoo.at("clusters").size(), 9U);
  const Outcome text = run("zoo");
  for (const json& entry : zoo.at("networks"))
    EXPECT_NE(text.out.find(entry.at("name").get<std::string>()), std::string::npos);
}

TEST_F(Command, DescribeNetworkIsReadBackIdentically) {
  for (const std::string name : {"3d-resattnet-18:width=8", "unet-3d", "gpt:layers=2", "alexnet"}) {
    const std::string text = run("describe network " + name + " --json").out;
    write_text(folder_.file("network.json"), text);
    EXPECT_EQ(run("describe network network.json --json").out, text) << name;
    // The name is in the file, so the tables are equal too.
    EXPECT_EQ(run("describe network network.json").out, run("describe network " + name).out);
  }
}

TEST_F(Command, DescribeClusterIsReadBackIdentically) {
  for (const std::string name : {"dgx1-v100", "dgx-a100:nodes=2,fabric=200Gbit/s", "workstation-cpu"}) {
    const std::string text = run("describe cluster " + name + " --json").out;
    write_text(folder_.file("cluster.json"), text);
    EXPECT_EQ(run("describe cluster cluster.json --json").out, text) << name;
  }
  const Outcome table = run("describe cluster dgx1-v100");
  for (const char* text : {"GPU7", "GB/s", "source", "all-reduce"}) EXPECT_NE(table.out.find(text), std::string::npos);
}

TEST_F(Command, OptimizePrintsPlanAndComparison) {
  const Outcome result = run("optimize" + kSmallRun + "--seed 1 --max-evaluations 200 -o plan.json");
  for (const char* text :
       {"volumes/s", "speedup", "efficiency", "data-parallel", "sequential", "even-pipeline", "bubble", "exposed",
        "peak memory", "plans evaluated in", "seed 1", "plan written to plan.json"})
    EXPECT_NE(result.out.find(text), std::string::npos) << text << "\n" << result.out;
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"plan.json"});
  EXPECT_EQ(run("describe plan plan.json --json").out, read_text(folder_.file("plan.json")));
  EXPECT_NE(run("describe plan plan.json").out.find("GPU0"), std::string::npos);
  EXPECT_NE(run("describe program plan.json").out.find("Backward stage 0"), std::string::npos);
  EXPECT_FALSE(run_json("describe program plan.json").at("instructions").empty());
}

TEST_F(Command, OptimizeIsTheSameForASeed) {
  const std::string line = "optimize" + kSmallRun + "--seed 5 --max-evaluations 100 -o ";
  json first = run_json(line + "a.json");
  json second = run_json(line + "b.json");
  EXPECT_GE(first.at("elapsed_s").get<double>(), 0.0);
  first.erase("elapsed_s");
  second.erase("elapsed_s");
  EXPECT_EQ(first.dump(), second.dump());
  EXPECT_EQ(read_text(folder_.file("a.json")), read_text(folder_.file("b.json")));
  for (const char* field : {"step_time_s", "samples_per_s", "speedup", "efficiency", "bubble_fraction",
                            "exposed_communication_s", "peak_memory_bytes", "evaluations", "seed"})
    EXPECT_TRUE(first.at(field).is_number()) << field;
  EXPECT_EQ(first.at("seed"), 5);
  EXPECT_LE(first.at("evaluations").get<int>(), 100);
  for (const char* name : {"data-parallel", "sequential", "even-pipeline"}) {
    const json& baseline = first.at("baselines").at(name);
    EXPECT_LE(first.at("step_time_s").get<double>(), baseline.at("step_time_s").get<double>()) << name;
    // speedup = T_1 / T, and efficiency = speedup / 2 devices.
    EXPECT_DOUBLE_EQ(baseline.at("efficiency").get<double>(), baseline.at("speedup").get<double>() / 2.0);
    EXPECT_NEAR(baseline.at("speedup").get<double>() * baseline.at("step_time_s").get<double>(),
                first.at("speedup").get<double>() * first.at("step_time_s").get<double>(), 1e-12);
  }
  // 8 samples a step.
  EXPECT_NEAR(first.at("samples_per_s").get<double>() * first.at("step_time_s").get<double>(), 8.0, 1e-9);
  // A plan file simulates to what the search said.
  EXPECT_EQ(run_json("simulate --plan a.json").at("step_time_s"), first.at("step_time_s"));
}

TEST_F(Command, EveryPlannerAndObjective) {
  for (const std::string planner : {"data-parallel", "sequential", "even-pipeline"}) {
    const json result = run_json("optimize" + kSmallRun + "--planner " + planner);
    EXPECT_EQ(result.at("step_time_s"), result.at("baselines").at(planner).at("step_time_s")) << planner;
  }
  const json time = run_json("optimize" + kSmallRun + "--max-evaluations 100");
  const json memory = run_json("optimize" + kSmallRun + "--max-evaluations 100 --objective memory");
  EXPECT_LE(memory.at("peak_memory_bytes"), time.at("peak_memory_bytes"));
  EXPECT_TRUE(run("optimize" + kSmallRun + "--max-evaluations 50 --quiet").out.starts_with("step "));
}

TEST_F(Command, MicroBatchIsPartOfTheProblem) {
  const json fixed = run_json("optimize" + kSmallRun + "--max-evaluations 50 --micro-batch 2");
  EXPECT_EQ(fixed.at("micro_batch"), 2);
  EXPECT_EQ(fixed.at("micro_batches"), 4);
  EXPECT_GE(run_json("optimize" + kSmallRun + "--max-evaluations 50 --min-micro-batch 4").at("micro_batch").get<int>(),
            4);
}

TEST_F(Command, InfeasibleProblemSaysByHowMuch) {
  const std::string line =
      "optimize --network gpt:layers=48,hidden=8192,heads=64 --cluster workstation-2 --global-batch 4 "
      "--max-evaluations 50 -o plan.json";
  const Outcome result = run(line, 4);
  EXPECT_TRUE(folder_.names().empty()) << "no plan, no file";
  for (const char* text : {"no feasible plan", "device GPU", "24.00 GiB", "too much", "weights", "optimizer state"})
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
  const json document = run_json(line, 4);
  EXPECT_TRUE(document.at("step_time_s").is_null());
  EXPECT_EQ(document.at("infeasible").at("required_bytes").get<std::int64_t>() -
                document.at("infeasible").at("available_bytes").get<std::int64_t>(),
            document.at("infeasible").at("excess_bytes").get<std::int64_t>());
  // 98 units: embedding and head beside two for each of 48 blocks.
  EXPECT_NE(run("simulate --network gpt:layers=48,hidden=8192,heads=64 --cluster workstation-2 --global-batch 4 "
                "--stages '0-48@0 49-97@1'",
                4)
                .err.find("too much"),
            std::string::npos);
}

TEST_F(Command, SimulateWritesEveryPicture) {
  const Outcome result =
      run("simulate" + kSmallRun +
          "--stages '0-4@0,1 5-12@1/always' --trace t.json --svg s.svg --paje p.trace --timeline l.json "
          "--gantt");
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"l.json", "p.trace", "s.svg", "t.json"}));
  EXPECT_NE(result.out.find("GPU0 |>0"), std::string::npos) << result.out;
  EXPECT_GT(json::parse(read_text(folder_.file("t.json"))).at("traceEvents").size(), 20U);
  EXPECT_EQ(json::parse(read_text(folder_.file("l.json"))).at("schema"), "gabra/timeline/1");
  EXPECT_TRUE(read_text(folder_.file("p.trace")).starts_with("%EventDef PajeDefineContainerType"));
  EXPECT_TRUE(read_text(folder_.file("s.svg")).starts_with("<svg "));
}

TEST_F(Command, PlanTakesAnotherClusterOfTheSameDevices) {
  (void)run("optimize --network resnet-18 --cluster dgx1-v100 --global-batch 16 --max-evaluations 30 -o plan.json");
  const double v100 = run_json("simulate --plan plan.json").at("step_time_s");
  const double a100 = run_json("simulate --plan plan.json --cluster dgx-a100").at("step_time_s");
  EXPECT_NE(v100, a100);
  EXPECT_NE(run("simulate --plan plan.json --cluster workstation-2", 2).err.find("no device \"GPU7\""),
            std::string::npos);
  EXPECT_NE(run("simulate --plan plan.json --network resnet-50", 2).err.find("another network"), std::string::npos);
  EXPECT_EQ(run_json("simulate --plan plan.json --network resnet-18").at("step_time_s").get<double>(), v100);
}

TEST_F(Command, AProfileOfOtherSettingsIsNoted) {
  write_text(folder_.file("p.json"),
             R"({"schema": "gabra/profile/1", "measured_with": {"precision": "bfloat16", "gradient_sum": "plain"},
                 "device_kinds": [{"name": "V100-SXM2", "layers": [{"name": "stem.conv", "samples": [
                   {"micro_batch": 2, "forward": "1 ms", "backward": "2 ms"}]}]}]})");
  const std::string line =
      "simulate --network 3d-resattnet-18:input=1x32x32x32 --cluster dgx1-v100 --global-batch 2 "
      "--micro-batches 1 --stages 0-12@0 --profile p.json";
  const std::string note = "the profile was measured in bfloat16 with plain gradient sums";
  EXPECT_NE(run(line).out.find(note), std::string::npos);
  EXPECT_EQ(run(line + " --precision bfloat16").out.find(note), std::string::npos);
  EXPECT_NE(run(line + " --precision bfloat16 --gradient-sum wide").out.find(note), std::string::npos);
}

TEST_F(Command, CollectiveTakesSeveralSizes) {
  const json result =
      run_json("simulate --collective all-reduce --bytes 1MiB,64MiB --devices 0,1,2 --cluster dgx1-v100");
  ASSERT_EQ(result.at("results").size(), 2U);
  EXPECT_EQ(result.at("time_s"), result.at("results")[0].at("time_s"));
  const json& large = result.at("results")[1];
  // Bus bandwidth = 2(n-1)/n x S/t with n = 3.
  EXPECT_NEAR(large.at("bus_bandwidth_bytes_per_s").get<double>(),
              4.0 / 3.0 * 67108864.0 / large.at("time_s").get<double>(), 1.0);
  EXPECT_EQ(large.at("algorithm"), "rings");
  EXPECT_EQ(run_json("simulate --collective all-reduce --bytes 1MiB --devices 3 --cluster dgx1-v100").at("time_s"),
            0.0);
}

/// Compares numbers to 1e-9 of their size, everything else exactly.
void expect_same(const json& expected, const json& actual, const std::string& path) {
  if (expected.is_number() && actual.is_number()) {
    const double value = expected.get<double>();
    EXPECT_NEAR(actual.get<double>(), value, 1e-9 * std::abs(value)) << path;
  } else if (expected.is_object() && actual.is_object()) {
    EXPECT_EQ(expected.size(), actual.size()) << path;
    for (const auto& [key, value] : expected.items()) {
      ASSERT_TRUE(actual.contains(key)) << path << "." << key;
      expect_same(value, actual.at(key), path + "." + key);
    }
  } else if (expected.is_array() && actual.is_array()) {
    ASSERT_EQ(expected.size(), actual.size()) << path;
    for (std::size_t i = 0; i < expected.size(); ++i)
      expect_same(expected[i], actual[i], path + "[" + std::to_string(i) + "]");
  } else {
    EXPECT_EQ(expected, actual) << path;
  }
}

TEST_F(Command, SmallSimulationGivesTheStoredNumbers) {
  // d0 and d1 forward a micro-batch of 2 in 20 ms each and send 2 MB to d2 over its one link of 1 GB/s: both take 4 ms
  // and 2 x 5 us. d2 needs 8 + 16 ms for each of 4 micro-batches and is never idle: 24.01 + 96 = 120.01 ms. The
  // gradient of the last goes back in 2.01 ms, d1's backward takes 40 ms: 162.02. A ring of 2 reduces 4 MB in 2 (2-1)/2
  // x 4 MB / 1 GB/s = 4 ms, and the update moves 5 x 4 MB at 1 TB/s: 20 us. Together 166.04 ms.
  const std::string source = GABRA_SOURCE_DIR "/tests/cli/golden/";
  const json expected = json::parse(read_text(source + "simulate.json"));
  const json actual = run_json("simulate --network " + source + "network.json --cluster " + source +
                               "cluster.json --global-batch 8 --micro-batches 4 --stages '0@d0,d1 1-2@d2'");
  expect_same(expected, actual, "$");
  EXPECT_NEAR(actual.at("step_time_s").get<double>(), 0.16604, 1e-12);
}

}  // namespace
}  // namespace gabra::test
