// SPDX-License-Identifier: MIT
// `gabra validate` with plans that cannot be measured, ranks that are killed, and jobs that it is part of.
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>

namespace gabra::test {
namespace {

using nlohmann::json;

class Validate : public TrainingCase {
 protected:
  Validate() { std::filesystem::create_directory(folder_.file("plans")); }

  /// The batch norms of the last blocks see one value per channel in micro-batches of one sample: it compiles, it is
  /// simulated, and it cannot train.
  void make_unmeasurable(const std::string& name) { make_plan(name, "0-12@0,1", "", kNetwork, 8); }

  [[nodiscard]] static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  static std::set<std::string> names(const json& plans) {
    std::set<std::string> result;
    for (const json& plan : plans) result.insert(plan.at("name"));
    return result;
  }
  /// Its fields are named in docs/formats.md, and its example has no others.
  static void expect_documented(const json& one, const json& set) {
    const std::string all = read_text(GABRA_SOURCE_DIR "/docs/formats.md");
    const std::size_t begin = all.find("\n## gabra/validation/1\n");
    ASSERT_NE(begin, std::string::npos);
    const std::string section = all.substr(begin, all.find("\n## ", begin + 1) - begin);
    for (const json& object : {one, set, set.at("plans").at(0)})
      for (const auto& [key, value] : object.items())
        EXPECT_TRUE(has(section, '`' + key + '`') || has(section, '"' + key + '"')) << key;
    const std::size_t example = section.find("```json\n") + 8;
    const json documented = json::parse(section.substr(example, section.find("```", example) - example));
    for (const auto& [key, value] : documented.items()) EXPECT_TRUE(one.contains(key)) << key;
  }
  static std::string reason(const json& document, const std::string& name) {
    for (const json& plan : document.at("left_out"))
      if (plan.at("name") == name) return plan.at("reason");
    return "";
  }
};

TEST_F(Validate, ASetNamesWhatCouldNotBeMeasured) {
  make_unmeasurable("plans/a");
  make_plan("plans/b", "0-5@0 6-12@1");
  make_plan("plans/c", "0-12@0");
  json small = json::parse(read_text(folder_.file("plans/c.json")));
  small["cluster"]["kinds"][0]["base_memory"] = "0 B";
  small["cluster"]["kinds"][0]["memory"] = "1 MB";
  write_text(folder_.file("plans/c.json"), small.dump());
  const std::string line = "validate --plans plans --steps 2 --rounds 1 --quiet";
  const Outcome text = run(line + " --html page.html --trace trace.json");
  const std::string page = read_text(folder_.file("page.html"));
  for (const char* part : {"stage 1 backward", "CPU0 -> CPU1, a message", "Cause: ", "in the mean", "at most",
                           "noise of the machine unknown", "single value per channel", "too much"})
    EXPECT_TRUE(has(text.out, part)) << part << " in " << text.out;
  for (const char* part : {"single value per channel", "too much", "Cause: "}) EXPECT_TRUE(has(page, part)) << part;
  EXPECT_TRUE(has(read_text(folder_.file("trace.json")), "b: CPU1 measured"));
  const json document = run_json(line);
  EXPECT_EQ(names(document.at("plans")), std::set<std::string>{"b"});
  EXPECT_EQ(names(document.at("left_out")), (std::set<std::string>{"a", "c"}));
  EXPECT_TRUE(document.at("plans")[0].at("noise").is_null());
  EXPECT_TRUE(document.at("kendall_tau").is_null());
  EXPECT_EQ(document.at("mean_error"), document.at("max_error"));
  EXPECT_FALSE(document.at("notes").empty() && document.at("plans")[0].at("notes").empty());  // never calibrated
  expect_documented(run_json("validate --plan plans/b.json --steps 1"), document);
}

TEST_F(Validate, NothingToMeasureIsStatus4) {
  make_unmeasurable("a");
  const Outcome one = run("validate --plan a.json --steps 1", 4);
  EXPECT_TRUE(has(one.err, "single value per channel")) << one.err;
  EXPECT_EQ(json::parse(run("validate --plan a.json --steps 1 --json", 4).out).at("left_out").size(), 1U);
}

TEST_F(Validate, AKilledRankCostsOnePlanAndAnotherJobGoesOn) {
  make_unmeasurable("plans/a");
  make_plan("plans/b", "0-5@0 6-12@1");
  make_plan("plans/c", "0-12@0,1");
  TrainingRun running(split_words("validate --plans plans --steps 60 --rounds 2 --json"), folder_.path());
  // Once the ranks have refused a, they have b or are about to get it.
  ASSERT_TRUE(running.wait_until([&] { return has(running.err(), "plans/a.json"); })) << running.err();
  const auto ranks = running.ranks();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGKILL);
  const auto end = running.wait(60.0);
  ASSERT_TRUE(end.has_value()) << running.err();
  EXPECT_EQ(end->status, 0) << end->err;
  EXPECT_TRUE(has(end->err, "plans/b.json: ")) << end->err;
  const json document = json::parse(end->out);
  EXPECT_EQ(names(document.at("plans")), std::set<std::string>{"c"});
  EXPECT_TRUE(has(reason(document, "b"), "signal 9")) << end->out;
  EXPECT_FALSE(document.at("is_interrupted").get<bool>());
  for (const pid_t rank : ranks) EXPECT_FALSE(is_alive(rank));
}

TEST_F(Validate, CtrlCKeepsWhatWasMeasured) {
  make_plan("plans/a", "0-5@0 6-12@1");
  make_unmeasurable("plans/b");
  TrainingRun running(split_words("validate --plans plans --steps 20000 --rounds 20000 --json"), folder_.path());
  // b comes after a's first round; 19,999 are left.
  ASSERT_TRUE(running.wait_until([&] { return has(running.err(), "plans/b.json"); })) << running.err();
  ::kill(running.id(), SIGINT);
  const auto end = running.wait(30.0);
  ASSERT_TRUE(end.has_value()) << running.err();
  EXPECT_EQ(end->status, 0) << end->err;
  const json document = json::parse(end->out);
  EXPECT_TRUE(document.at("is_interrupted").get<bool>());
  EXPECT_EQ(names(document.at("plans")), std::set<std::string>{"a"});
}

TEST_F(Validate, TakesPartInAJob) {
  make_plan("two", "0-5@0 6-12@1");
  const auto in_job = [this](int ranks, const std::string& more) {
    const std::string line =
        "cd " + folder_.path() + " && mpirun --allow-run-as-root --oversubscribe -np " + std::to_string(ranks) +
        " " GABRA_COMMAND " validate --plan two.json --steps 2 --rounds 1 " + more + " > out 2> err";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(in_job(2, "--json"), 0) << read_text(folder_.file("err"));
  // One of the ranks prints.
  EXPECT_EQ(json::parse(read_text(folder_.file("out"))).at("steps_s").size(), 2U);
  EXPECT_NE(in_job(1, ""), 0);
  EXPECT_TRUE(has(read_text(folder_.file("err")), "a plan of 2 devices in a job of 1 rank"));
  EXPECT_NE(in_job(2, "--launcher srun"), 0);
  const std::string err = read_text(folder_.file("err"));
  EXPECT_TRUE(has(err, "--launcher")) << err;
  EXPECT_EQ(err.find("gabra: --launcher"), err.rfind("gabra: --launcher")) << "one rank says it: " << err;
}

TEST_F(Validate, TakesWhatTheMachineWasCalibratedWith) {
  json machine = run_json("describe cluster workstation-cpu:gpus=2");
  machine["kinds"][0]["measured_on"] = {{"device", "cpu"}, {"threads_per_rank", 2}};
  machine["kinds"][0]["is_calibrated"] = true;
  write_text(folder_.file("machine.json"), machine.dump());
  const std::string line = "--network " + std::string(kNetwork) + " --cluster machine.json --global-batch 4 ";
  (void)run("simulate " + line + "--micro-batches 2 --stages '0-12@0' -o plan.json");
  const std::string validate = "validate --plan plan.json --steps 1 ";
  EXPECT_TRUE(run_json(validate).at("notes").empty());
  const json other = run_json(validate + "--threads-per-rank 1");
  ASSERT_EQ(other.at("notes").size(), 1U) << other;
  EXPECT_TRUE(has(other.at("notes")[0], "calibrated with 2 threads")) << other;
  const Outcome refused = run(validate + "--device cuda", 2);
  EXPECT_TRUE(has(refused.err, "--device: saw cuda for devices that were calibrated on cpu")) << refused.err;
  const std::string train = "train --plan plan.json --synthetic --steps 1 --threads-per-rank ";
  EXPECT_TRUE(has(run(train + "1").err, "calibrated with 2 threads"));
  EXPECT_FALSE(has(run(train + "2").err, "calibrated"));
  const Outcome search = run("optimize " + line + "--evaluator exec --devices cuda:2", 2);
  EXPECT_TRUE(has(search.err, "--devices: saw cuda for devices that were calibrated on cpu")) << search.err;
}

}  // namespace
}  // namespace gabra::test
