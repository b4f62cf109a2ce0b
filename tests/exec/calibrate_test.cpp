// SPDX-License-Identifier: MIT
#include "../cli/command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace gabra::test {
namespace {

using nlohmann::json;

// From measuring two ranks to a comparison. Nothing here depends on how fast the machine is.
class Calibrate : public ::testing::Test {
 protected:
  Outcome run(const std::string& line) { return run_gabra(split_words(line), folder_.path()); }
  json run_json(const std::string& line) {
    const Outcome result = run(line + " --json --quiet");
    EXPECT_EQ(result.status, 0) << result.err;
    return result.status == 0 ? json::parse(result.out) : json::object();
  }

  const std::string network_ = "3d-resattnet-18:width=8,input=1x32x32x32";
  TemporaryFolder folder_;
};

TEST_F(Calibrate, ThenSimulateThenValidate) {
  const json calibration = run_json("calibrate --network " + network_ +
                                    " --micro-batches 2,4 --devices cpu:2 -o machine.json --profile profile.json "
                                    "--time-limit 2s");
  EXPECT_EQ(calibration.at("schema"), "gabra/calibration/1");
  EXPECT_GE(calibration.at("neighbour_slowdown").get<double>(), 1.0);
  EXPECT_GE(calibration.at("steps").get<int>(), 6);
  std::set<std::string> models;
  for (const json& model : calibration.at("models")) models.insert(model.at("model").get<std::string>());
  for (const char* name :
       {"passes", "update", "CPU0->CPU1", "CPU1->CPU0", "all-reduce", "kept from forward to backward"})
    EXPECT_TRUE(models.contains(name)) << name;
  // A profile with every layer and the loss at both sizes, on the machine's kind.
  const json profile = json::parse(read_text(folder_.file("profile.json")));
  const json& kind = profile.at("device_kinds").at(0);
  EXPECT_EQ(kind.at("name"), json::parse(read_text(folder_.file("machine.json"))).at("kinds").at(0).at("name"));
  double forward = 0.0;
  for (const json& layer : kind.at("layers")) {
    ASSERT_EQ(layer.at("samples").size(), 2U) << layer.at("name");
    forward += std::stod(layer.at("samples")[0].at("forward").get<std::string>());
  }
  EXPECT_GT(forward, 0.0);
  // What layers keep was measured, and is what the model of memory says.
  std::vector<double> kept(2, 0.0);
  for (const json& layer : kind.at("layers"))
    for (std::size_t i = 0; i < 2; ++i)
      if (layer.at("samples")[i].contains("bytes"))
        kept[i] += std::stod(layer.at("samples")[i].at("bytes").get<std::string>());  // "1234 B"
  EXPECT_NEAR(kept[1], 2.0 * kept[0], 0.01 * kept[1]);
  for (const json& model : calibration.at("models"))
    if (model.at("model") == "kept from forward to backward") {
      EXPECT_EQ(model.at("samples"), 2);
      EXPECT_LT(model.at("p95_error").get<double>(), 0.1);
      EXPECT_GT(kept[0], 0.0);
    }
  const Outcome described = run("describe cluster machine.json");
  EXPECT_EQ(described.status, 0) << described.err;

  const std::string simulate = "simulate --network " + network_ + " --cluster machine.json --profile profile.json ";
  EXPECT_EQ(run(simulate + "--global-batch 8 --micro-batches 4 --stages '0-3@0 4-12@1' -o plans/a.json").status, 2);
  EXPECT_EQ(run(simulate + "--global-batch 8 --micro-batches 4 --stages '0-3@0 4-12@1' -o a.json").status, 0);
  const json one = run_json(
      "validate --plan a.json --cluster machine.json --profile profile.json --steps 4 --rounds 2 --trace trace.json "
      "--html page.html");
  // Steps that others disturbed are left out, but for the fewest that a round needs.
  EXPECT_GE(one.at("steps_s").size(), 2U);
  EXPECT_LE(one.at("steps_s").size(), 4U);
  EXPECT_GE(one.at("steps_s").size() + one.at("disturbed_steps").get<std::size_t>(), 4U);
  EXPECT_GT(one.at("predicted").get<double>(), 0.0);
  EXPECT_GT(one.at("measured").get<double>(), 0.0);
  EXPECT_NEAR(one.at("error").get<double>(), one.at("predicted").get<double>() / one.at("measured").get<double>() - 1.0,
              1e-9);
  ASSERT_EQ(one.at("peak_memory_bytes").size(), 2U);
  for (const json& memory : one.at("peak_memory_bytes")) EXPECT_LT(std::abs(memory.at("error").get<double>()), 0.1);
  EXPECT_FALSE(one.at("cause").get<std::string>().empty());
  EXPECT_FALSE(one.at("instructions").empty());
  // Every instruction of the predicted step is in the trace once more, as measured.
  int predicted = 0, measured = 0;
  const json trace = json::parse(read_text(folder_.file("trace.json")));
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    predicted += event.at("cat") == "predicted" ? 1 : 0;
    measured += event.at("cat") == "measured" ? 1 : 0;
  }
  EXPECT_GT(predicted, 0);
  EXPECT_EQ(predicted, measured);
  EXPECT_NE(read_text(folder_.file("page.html")).find("</html>"), std::string::npos);
}

TEST_F(Calibrate, BadInputIsNamed) {
  const Outcome none = run("calibrate");
  EXPECT_EQ(none.status, 2);
  for (const char* flag : {"--network", "--micro-batches", "--devices", "--output"})
    EXPECT_NE(none.err.find(std::string("gabra: ") + flag), std::string::npos) << none.err;
  EXPECT_EQ(run("calibrate --network alexnet --micro-batches 1,x --devices gpu:2 -o m.json").status, 2);
  EXPECT_EQ(run("validate").status, 2);
  EXPECT_EQ(run("validate --plan missing.json").status, 2);
  EXPECT_EQ(run("validate --plans .").status, 2);
  write_text(folder_.file("table.txt"), "hello\n");
  EXPECT_EQ(run("calibrate --from-table table.txt --cluster dgx-a100 -o m.json").status, 2);
  EXPECT_EQ(run("calibrate --from-table table.txt -o m.json").status, 2);
  // One value per channel: batch norm cannot train on it.
  for (const char* devices : {"cpu:1", "cpu:2"}) {
    const Outcome small = run("calibrate --network " + network_ + " --micro-batches 1 --devices " + devices +
                              " -o m.json --time-limit 1s --quiet");
    EXPECT_EQ(small.status, 2) << small.err;
    EXPECT_EQ(std::count(small.err.begin(), small.err.end(), '\n'), 1) << small.err;
  }
}

TEST_F(Calibrate, TablesOfOthers) {
  std::string table = "size(B),count,type,time(ns),busbw(GB/s),time(ns),busbw(GB/s)\n";
  for (const double mib : {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0}) {
    const double bytes = mib * 1048576.0;
    const double nanoseconds = 40e3 + bytes / 200.0;  // 40 us and 200 GB/s
    table += std::to_string(static_cast<long>(bytes)) + ",1,float," + std::to_string(nanoseconds) + "," +
             std::to_string(bytes / nanoseconds) + ",1,1\n";
  }
  write_text(folder_.file("two.txt"), table);
  const json fit = run_json("calibrate --from-table two.txt --cluster dgx-a100 -o m.json");
  EXPECT_LT(fit.at("models").at(0).at("median_error").get<double>(), 0.01);
  const json again =
      json::parse(run("simulate --collective all-reduce --bytes 64MiB --devices 0,1 --cluster m.json --json").out);
  EXPECT_NEAR(again.at("time_s").get<double>(), 40e-6 + 67108864.0 / 200e9, 4e-6);
}

}  // namespace
}  // namespace gabra::test
