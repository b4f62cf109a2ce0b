// SPDX-License-Identifier: MIT
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>

namespace gabra::test {
namespace {

constexpr double kMostSeconds = 10.0;  // from the death of a rank to the end of all

/// Ranks of a training of 30 steps, a checkpoint every 5, are killed at some moment.
class Faults : public TrainingCase {
 protected:
  static constexpr int kSteps = 30;

  [[nodiscard]] static std::string line(const std::string& plan, const std::string& folder) {
    return "train --plan " + plan + ".json --synthetic --steps " + std::to_string(kSteps) +
           " --checkpoint-every 5 --keep 2 --checkpoint-dir " + folder;
  }
  [[nodiscard]] std::string last(const std::string& folder) const { return folder_.file(folder + "/step-000030.pt"); }

  /// Kills rank `victim` when `moment` has come. What the command printed.
  std::string kill_at(const std::string& command, std::size_t ranks, std::size_t victim,
                      const std::function<bool()>& moment) {
    TrainingRun run(split_words(command), folder_.path());
    EXPECT_TRUE(run.wait_until([&] { return run.ranks().size() == ranks && moment(); })) << run.err();
    const auto processes = run.ranks();
    if (processes.size() != ranks) {
      ADD_FAILURE() << "it ended too early: " << run.err();
      return "";
    }
    ::kill(processes[victim], SIGKILL);
    const auto end = run.wait(kMostSeconds);
    EXPECT_TRUE(end.has_value()) << "still running: " << run.err();
    if (!end) return "";
    EXPECT_EQ(end->status, 3) << end->err;
    for (const pid_t process : processes) EXPECT_FALSE(is_alive(process));
    return end->err;
  }

  /// Resumes, and expects the weights of the training that was not interrupted.
  void resume(const std::string& plan, const std::string& folder) {
    (void)run(line(plan, folder) + " --resume");
    EXPECT_EQ(read_text(last(folder)), read_text(last(plan + "-whole"))) << folder;
  }

  [[nodiscard]] std::function<bool()> after_lines(const std::string& folder, std::size_t lines) const {
    return [this, folder, lines] { return line_count(folder_.file(folder + "/log.jsonl")) >= lines; };
  }
};

TEST_F(Faults, ARankKilledAtAnyMomentStopsAllAndResumesBitForBit) {
  make_plan("two", "0-5@0 6-12@1");
  (void)run(line("two", "two-whole"));
  const unsigned seed = 20220701;
  std::mt19937 random(seed);
  const std::size_t within = 1 + random() % 20;
  std::printf("seed %u: killed before the first step, after %zu steps, and while a checkpoint is written\n", seed,
              within);
  // Before the first step.
  (void)kill_at(line("two", "before"), 2, 1, [] { return true; });
  resume("two", "before");
  // Within a later step. The survivor says what it waited for, and from whom.
  const std::string err = kill_at(line("two", "within"), 2, 1, after_lines("within", within));
  EXPECT_NE(err.find("rank 0"), std::string::npos) << err;
  EXPECT_NE(err.find("waiting for"), std::string::npos) << err;
  EXPECT_NE(err.find("rank 1"), std::string::npos) << err;
  resume("two", "within");
  // While rank 0 writes a checkpoint, it is rank 0 that dies: half a file is left.
  (void)kill_at(line("two", "writing"), 2, 0, [&] {
    std::error_code error;
    for (const char* name : {"step-000005", "step-000010", "step-000015", "step-000020", "step-000025"})
      if (std::filesystem::exists(folder_.file("writing/") + name + ".pt.partial", error)) return true;
    return false;
  });
  resume("two", "writing");
}

TEST_F(Faults, ThreeRanksAndRestartsByThemselves) {
  make_plan("three", "0-5@0,1 6-12@2");
  (void)run(line("three", "three-whole"));
  TrainingRun run(split_words(line("three", "ckpt") + " --max-restarts 1"), folder_.path());
  ASSERT_TRUE(run.wait_until([&] { return run.ranks().size() == 3 && after_lines("ckpt", 12)(); })) << run.err();
  const auto first = run.ranks();
  ASSERT_EQ(first.size(), 3U);
  ::kill(first[1], SIGKILL);
  const auto end = run.wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status, 0) << end->err;
  EXPECT_NE(end->err.find("starting again"), std::string::npos) << end->err;
  EXPECT_EQ(read_text(last("ckpt")), read_text(last("three-whole")));
  for (const pid_t process : first) EXPECT_FALSE(is_alive(process));
}

TEST_F(Faults, AFullDiskStopsAndLosesNothing) {
  // The checkpoint has some 17 MB; no file may be longer than 10 MiB, as on a full disk.
  make_plan("wide", "0-5@0 6-12@1", "", "3d-resattnet-18:width=16,input=1x16x16x16");
  const std::string train = "train --plan wide.json --synthetic --checkpoint-dir ckpt --steps ";
  (void)run(train + "1");
  const std::string line =
      "cd " + folder_.path() + " && ulimit -f 10240 && " GABRA_COMMAND " " + train + "2 --resume > out 2> err";
  const int status = std::system(line.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 3);
  const std::string err = read_text(folder_.file("err"));
  EXPECT_NE(err.find("step-000002.pt could not be written"), std::string::npos) << err;
  EXPECT_FALSE(std::filesystem::exists(folder_.file("ckpt/step-000002.pt.partial")));
  EXPECT_EQ(run_json(train + "2 --resume").at("first_step"), 2);
}

TEST_F(Faults, APeerThatNeverAnswersIsATimeout) {
  make_plan("two", "0-5@0 6-12@1");
  const std::string endless = "train --plan two.json --synthetic --steps 100000 --timeout 2s --log log.jsonl";
  TrainingRun stuck(split_words(endless), folder_.path());
  ASSERT_TRUE(stuck.wait_until([&] { return line_count(folder_.file("log.jsonl")) > 3; })) << stuck.err();
  const auto ranks = stuck.ranks();
  ASSERT_EQ(ranks.size(), 2U);
  ::kill(ranks[1], SIGSTOP);
  const auto end = stuck.wait(2.0 + kMostSeconds);
  ASSERT_TRUE(end.has_value()) << stuck.err();
  EXPECT_EQ(end->status, 3);
  EXPECT_NE(end->err.find("rank 0"), std::string::npos) << end->err;
  EXPECT_NE(end->err.find("2."), std::string::npos) << end->err;
  for (const pid_t process : ranks) EXPECT_FALSE(is_alive(process));
}

}  // namespace
}  // namespace gabra::test
