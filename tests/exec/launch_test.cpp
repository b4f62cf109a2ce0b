// SPDX-License-Identifier: MIT
// What `gabra train` makes of its surroundings before and after the ranks run: flags, cores, slots, jobs of others,
// statuses, restarts.
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <sched.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>

namespace gabra::test {
namespace {

using nlohmann::json;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class Launch : public TrainingCase {
 protected:
  void SetUp() override { make_plan("two", "0-5@0 6-12@1"); }

  /// A line for the shell, in the test's folder.
  Outcome shell(const std::string& line) {
    const std::string whole = "cd " + folder_.path() + " && " + line + " > out.txt 2> err.txt < /dev/null";
    const int status = std::system(whole.c_str());
    return {WEXITSTATUS(status), read_text(folder_.file("out.txt")), read_text(folder_.file("err.txt"))};
  }
  /// `gabra train` with these flags as every rank of a job that somebody else starts.
  Outcome join(int ranks, const std::string& flags) {
    return shell("mpirun --allow-run-as-root --oversubscribe -np " + std::to_string(ranks) +
                 " " GABRA_COMMAND " train " + flags);
  }
  /// A copy of a plan whose devices have 1 MiB of memory.
  void make_infeasible(const std::string& name, const std::string& from) {
    json plan = json::parse(read_text(folder_.file(from)));
    for (json& kind : plan.at("cluster").at("kinds")) kind["memory"] = "1 MiB";
    write_text(folder_.file(name), plan.dump());
  }
};

TEST_F(Launch, ALossThatIsNoNumberIsNotTriedAgain) {
  const Outcome result = run(
      "train --plan two.json --synthetic --steps 20 --learning-rate 1e30 --checkpoint-dir ckpt --max-restarts 2", 3);
  EXPECT_EQ(count_of(result.err, "the training stops"), 1U) << result.err;
  EXPECT_EQ(result.err.find("starting again"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("not started again"), std::string::npos) << result.err;
}

TEST_F(Launch, AFullDiskIsNotTriedAgain) {
  // The checkpoint has some 17 MB; no file may be longer than 10 MiB, as on a full disk.
  make_plan("wide", "0-5@0 6-12@1", "", "3d-resattnet-18:width=16,input=1x16x16x16");
  const Outcome result = shell("ulimit -f 10240 && " GABRA_COMMAND
                               " train --plan wide.json --synthetic --steps 1 --checkpoint-dir ckpt --max-restarts 2");
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(result.err.find("could not be written"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("starting again"), std::string::npos) << result.err;
}

TEST_F(Launch, AJobOfOthersRefusesFlagsOfTheLauncherOnce) {
  const Outcome result =
      join(2, "--plan two.json --synthetic --steps 1 --checkpoint-dir ckpt --max-restarts 1 --hosts here --momentum 7");
  EXPECT_EQ(result.status, 2) << result.err;
  for (const char* flag : {"gabra: --max-restarts: saw this flag in an mpirun or srun job",
                           "gabra: --hosts: saw this flag in an mpirun or srun job", "gabra: --momentum: saw \"7\""})
    EXPECT_EQ(count_of(result.err, flag), 1U) << flag << "\n" << result.err;
  EXPECT_EQ(count_of(join(2, "--plan two.json --synthetic --steps").err, "gabra: --steps: saw no value"), 1U);
}

TEST_F(Launch, APlanThatDoesNotFitIsStatusFourEverywhere) {
  make_infeasible("small.json", "two.json");
  const std::string flags = "--plan small.json --synthetic --steps 1";
  const Outcome alone = run("train " + flags, 4);
  EXPECT_EQ(count_of(alone.err, "the plan cannot run"), 1U) << alone.err;
  const Outcome joined = join(2, flags);
  EXPECT_EQ(joined.status, 4) << joined.err;
  EXPECT_EQ(count_of(joined.err, "the plan cannot run"), 1U) << joined.err;
}

TEST_F(Launch, AJobOfAnotherSizeIsRefusedOnce) {
  for (const int ranks : {1, 3}) {
    const Outcome result = join(ranks, "--plan two.json --synthetic --steps 1");
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(count_of(result.err, "a plan for 2 devices in a job of " + std::to_string(ranks)), 1U) << result.err;
  }
}

TEST_F(Launch, RanksThatShareCoresAreNoted) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const Outcome shared = run("train --plan two.json --synthetic --steps 1 --json");
  const Outcome quiet = run("train --plan two.json --synthetic --steps 1 --quiet");
  make_plan("serial", "0-12@0");
  const Outcome alone = run("train --plan serial.json --synthetic --steps 1");
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_NE(shared.err.find("2 CPU ranks of 1 thread share the one core of this machine"), std::string::npos)
      << shared.err;
  EXPECT_EQ(json::parse(shared.out).at("steps"), 1);
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(alone.err, "");
}

TEST_F(Launch, FewerSlotsThanRanksAreBadInput) {
  const Outcome result = run("train --plan two.json --synthetic --steps 1 --hosts localhost:1", 2);
  EXPECT_EQ(
      result.err,
      "gabra: --hosts: saw fewer slots than the 2 ranks; allowed: a slot for every rank: NAME:SLOTS,NAME:SLOTS\n");
}

TEST_F(Launch, AGpuThatIsNotThereIsSaidOnce) {
  if (std::filesystem::exists("/dev/nvidia0")) GTEST_SKIP() << "there is one";
  const Outcome result = run("train --plan two.json --synthetic --steps 1 --device cuda", 2);
  EXPECT_EQ(count_of(result.err, "\n"), 1U) << result.err;
  EXPECT_TRUE(result.err.starts_with("gabra: --device: saw ")) << result.err;
}

TEST_F(Launch, AdamWHasNoMomentumAndTrains) {
  make_plan("adamw", "0-5@0 6-12@1", "--optimizer adamw --precision bfloat16");
  const std::string line = "train --plan adamw.json --synthetic --steps 3 --weight-decay 0.01";
  EXPECT_NE(run(line + " --momentum 0.9", 2).err.find("--momentum: saw this flag with a plan for adamw"),
            std::string::npos);
  const json result = run_json(line);
  ASSERT_EQ(result.at("losses").size(), 3U);
  for (const json& loss : result.at("losses")) EXPECT_TRUE(std::isfinite(loss.get<double>())) << loss;
}

TEST_F(Launch, TheBarIsForTerminals) {
  const std::string line = GABRA_COMMAND " train --plan two.json --synthetic --steps 2";
  // script(1) gives its command a terminal.
  const Outcome terminal = shell("script --quiet --return --command '" + line + "' typescript");
  EXPECT_EQ(terminal.status, 0) << terminal.out;
  EXPECT_NE(terminal.out.find("step 2/2"), std::string::npos) << terminal.out;
  EXPECT_NE(terminal.out.find("volumes/s"), std::string::npos) << terminal.out;
  const Outcome quiet = shell("script --quiet --return --command '" + line + " --quiet' typescript");
  EXPECT_EQ(quiet.out.find("step 2/2"), std::string::npos) << quiet.out;
  const Outcome file = shell(line);
  EXPECT_EQ(file.err.find("step 2/2"), std::string::npos) << file.err;
}

TEST_F(Launch, ADeadRankIsNoticedWhereNothingStopsTheOthers) {
  // As srun does without --kill-on-bad-exit=1, this mpirun leaves the other ranks alone.
  TrainingRun run("mpirun",
                  split_words("--allow-run-as-root --oversubscribe --enable-recovery -np 2 " GABRA_COMMAND
                              " train --plan two.json --synthetic --steps 100000 --log log.jsonl"),
                  folder_.path());
  ASSERT_TRUE(run.wait_until([&] { return line_count(folder_.file("log.jsonl")) > 3; })) << run.err();
  const auto ranks = run.ranks();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGKILL);
  const auto end = run.wait(10.0);
  ASSERT_TRUE(end.has_value()) << "still running: " << run.err();
  EXPECT_NE(end->err.find("gabra-exec: rank 0: rank 1 on "), std::string::npos) << end->err;
  for (const pid_t rank : ranks) EXPECT_FALSE(is_alive(rank));
}

TEST_F(Launch, ThePlanOfTheDemoTrainsOnTwoRanks) {
  const std::string demo = read_text(GABRA_SOURCE_DIR "/scripts/demo");
  const std::string search =
      "optimize --network 3d-resattnet-18:width=8,input=1x32x32x32 --cluster workstation-cpu --global-batch 8";
  ASSERT_NE(demo.find("gabra " + search), std::string::npos) << "the demo's search has changed";
  (void)run(search + " --micro-batch 2 --seed 1 --quiet -o cpu-plan.json");
  EXPECT_EQ(run_json("train --plan cpu-plan.json --synthetic --steps 1").at("devices").size(), 2U);
}

}  // namespace
}  // namespace gabra::test
