// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

namespace gabra::test {
namespace {

/// Command line, and texts that the message must have.
struct Case {
  std::string line;
  std::vector<std::string> says;
};

const std::string kSmall = " --network 3d-resattnet-18:width=8,input=1x32x32x32 --cluster workstation-2 ";

/// Exit status 2, nothing on stdout, no file left, and a message for every fault: place, what was seen, what is
/// allowed.
void expect_refused(const Case& bad, const TemporaryFolder& folder) {
  SCOPED_TRACE(bad.line);
  const auto before = folder.names();
  const Outcome run = run_gabra(split_words(bad.line), folder.path());
  EXPECT_EQ(run.status, 2) << run.err;
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(folder.names(), before) << "no partial output file";
  for (const std::string& text : bad.says) EXPECT_NE(run.err.find(text), std::string::npos) << text << "\n" << run.err;
  std::istringstream lines(run.err);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.starts_with("gabra: ")) << line;
    EXPECT_NE(line.find(": saw "), std::string::npos) << line;
    EXPECT_NE(line.find("; allowed: "), std::string::npos) << line;
  }
}

TEST(BadInput, CommandsAndFlags) {
  const TemporaryFolder folder;
  for (const Case& bad : std::vector<Case>{
           {"", {"command: saw nothing", "optimize"}},
           {"optimise", {"did you mean \"optimize\"?"}},
           {"describe", {"network, cluster, plan, program"}},
           {"describe clutser x", {"did you mean \"cluster\"?"}},
           {"--sead", {"--sead: saw an unknown flag"}},
           {"zoo x", {"the extra argument \"x\""}},
           {"describe network", {"NETWORK: saw nothing"}},
           {"describe network a b", {"NETWORK: saw 2 values"}},
           {"describe network ''", {"NETWORK: saw an empty text"}},
           {"describe network resnet-18 --json=3", {"json"}},
           {"optimize", {"--network: saw nothing", "--cluster: saw nothing"}},
           {"optimize" + kSmall + "--sead 3 --global-batch -3",
            {"--sead: saw an unknown flag (did you mean \"--seed\"?)", "--global-batch: saw \"-3\""}},
           {"optimize" + kSmall + "--seed", {"--seed: saw no value"}},
           {"simulate", {"--network: saw nothing", "--stages: saw nothing"}},
       })
    expect_refused(bad, folder);
}

TEST(BadInput, ValuesOfFlags) {
  const TemporaryFolder folder;
  for (const Case& bad : std::vector<Case>{
           {"--seed 1 --seed 2", {"--seed: saw 2 values"}},
           {"--seed ''", {"--seed: saw an empty text"}},
           {"--seed -1 --global-batch 99999999999999999999", {"--seed: saw \"-1\"", "--global-batch: saw \"9999"}},
           {"--global-batch 0", {"a whole number from 1"}},
           {"--global-batch 1.5", {"a whole number from 1"}},
           {"--clip-norm nan", {"a finite number above 0"}},
           {"--clip-norm inf", {"a finite number above 0"}},
           {"--clip-norm 1e999", {"a finite number above 0"}},
           {"--time-limit 60", {"--time-limit: saw \"60\"", "\"60s\""}},
           {"--time-limit -1s", {"--time-limit"}},
           {"--bucket 25 --objective speed", {"--bucket: saw \"25\"", "one of time, energy, memory"}},
           {"--bucket 1MB,,2MB", {"--bucket: saw \"\""}},
           {"--planner dataparallel", {"did you mean \"data-parallel\"?"}},
           {"--precision float16 --optimizer adam", {"float32, bfloat16", "sgd_momentum, adamw"}},
           {"--global-batch 8 --micro-batch 3", {"a divisor of the global batch, 8"}},
           {"--global-batch 8 --micro-batch 2 --min-micro-batch 4", {"at most --micro-batch, 2"}},
           {"--max-evaluations 0", {"--max-evaluations: saw \"0\""}},
           {"-o /no/such/folder/plan.json", {"--output: saw", "cannot be written"}},
           {"-o .", {"a directory"}},
       })
    expect_refused({"optimize" + kSmall + bad.line, bad.says}, folder);
}

TEST(BadInput, Simulate) {
  const TemporaryFolder folder;
  for (const Case& bad : std::vector<Case>{
           {kSmall + "--stages '0-3@0 5-12@1'", {"stages[1].first_unit: saw unit 5"}},
           {kSmall + "--stages 0-3@0", {"stages[0].last_unit: saw unit 3"}},
           {kSmall + "--stages '0-12@7 x@0'", {"device \"7\"", "units \"x\""}},
           {kSmall + "--stages 0-12@0,0", {"a second time"}},
           {kSmall + "--stages 0-12@0 --micro-batches 7", {"a divisor of the global batch, 32"}},
           {kSmall + "--stages 0-12@0,1 --micro-batches 1", {"2 replicas for 1 micro-batches"}},
           {kSmall + "--stages 0-12@0 --bytes 1MB", {"--bytes: saw this flag without --collective"}},
           {kSmall + "--stages 0-12@0 --json --gantt", {"--gantt"}},
           {kSmall + "--stages 0-12@0 --trace /no/such/folder/t --svg .", {"--trace: saw", "--svg: saw"}},
           {" --collective all-reduce --cluster dgx1-v100", {"--bytes: saw nothing"}},
           {" --collective reduce --cluster dgx1-v100 --bytes 1,2MB,-3MB,0B --devices 0,0,9",
            {"--collective: saw \"reduce\"", "saw \"1\"", "saw \"-3MB\"", "saw \"0B\"", "a second time", "saw \"9\""}},
           {" --collective all-reduce --cluster dgx1-v100 --bytes 1MB --stages 0@0", {"--stages: saw this flag"}},
       })
    expect_refused({"simulate" + bad.line, bad.says}, folder);
}

TEST(BadInput, Files) {
  const TemporaryFolder folder;
  write_text(folder.file("empty"), "");
  write_text(folder.file("truncated.json"), "{\"schema\": \"gabra/plan/1\", \"stages\": [");
  write_text(folder.file("twice.json"), R"({"schema": "gabra/cluster/1", "schema": 1, "name": 3})");
  write_text(folder.file("deep.json"), std::string(100000, '['));
  write_text(folder.file("garbage"), std::string("\0\1\2\377\376", 5));
  std::filesystem::create_directory(folder.file("folder"));
  // Sparse: takes no space on the disk.
  write_text(folder.file("large"), "");
  std::filesystem::resize_file(folder.file("large"), std::uintmax_t{1} << 30);
  for (const std::string file :
       {"empty", "truncated.json", "deep.json", "garbage", "folder", "large", "missing.json"}) {
    for (const std::string command : {"describe plan ", "describe program ", "simulate --plan ", "describe network ",
                                      "describe cluster ", "optimize --network resnet-18 --cluster "})
      expect_refused({command + "./" + file, {}}, folder);
    expect_refused({"optimize" + kSmall + "--profile ./" + file, {file}}, folder);
  }
  expect_refused({"describe plan large", {"1073741824 bytes", "64 MiB"}}, folder);
  expect_refused(
      {"describe cluster twice.json", {"twice.json: $.schema: saw the field twice", "$.kinds: saw no such field"}},
      folder);
  expect_refused({"optimize --network missing --cluster nothing", {"missing", "nothing"}}, folder);
}

TEST(BadInput, DamagedPlansNeverCrash) {
  const TemporaryFolder folder;
  ASSERT_EQ(
      run_gabra(split_words("optimize --global-batch 4 --max-evaluations 20 -o plan.json" + kSmall), folder.path())
          .status,
      0);
  const std::string text = read_text(folder.file("plan.json"));
  ASSERT_GT(text.size(), 1000U);
  for (std::size_t i = 0; i < 12; ++i) {
    // Cut, or one byte changed, at places spread over the file.
    const std::size_t at = (2 * i + 1) * text.size() / 24;
    std::string damaged = text;
    if (i % 2 == 0)
      damaged.resize(at);
    else
      damaged[at] = damaged[at] == '9' ? '7' : '9';
    write_text(folder.file("damaged.json"), damaged);
    for (const std::string command : {"simulate --plan damaged.json", "describe program damaged.json"}) {
      const Outcome run = run_gabra(split_words(command), folder.path());
      EXPECT_TRUE(run.status == 2 || (i % 2 == 1 && (run.status == 0 || run.status == 4)))
          << command << " " << at << "\n"
          << run.err;
    }
  }
}

TEST(BadInput, ControlCharactersAreNotPrinted) {
  const TemporaryFolder folder;
  const Outcome run = run_gabra({"describe", "plan", "no\x1b[31m file"}, folder.path());
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.err.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace gabra::test
