// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"
#include "gabra/data/volume.hpp"
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <regex>

namespace gabra::test {
namespace {

constexpr double kMostSeconds = 10.0;  // from the death of a rank to the end of all
/// --gtest_random_seed=N gives other moments and victims.
unsigned seed() { return 20220701U + static_cast<unsigned>(GTEST_FLAG_GET(random_seed)); }

/// When and whom to kill.
struct Strike {
  std::string name;
  std::size_t victim = 0;
  std::function<bool()> moment;
  std::string waits_for;       ///< a pattern of what every survivor says that it waited for
  bool is_in_training = true;  ///< the moment comes after rank 0 has opened its log; else, after all have begun
};

/// A training is killed and resumed again and again, and must end with the bits of one that nobody disturbed.
class Faults : public TrainingCase {
 protected:
  std::mt19937 random_{seed()};

  [[nodiscard]] std::string log_of(const std::string& folder) const { return folder_.file(folder + "/log.jsonl"); }

  /// So many steps are in the log, and then a little more: within the step that follows, or right after it.
  std::function<bool()> after_steps(const std::string& folder, std::size_t lines) {
    return [this, folder, lines, looks = random_() % 200]() mutable {
      if (line_count(log_of(folder)) < lines) return false;
      while (looks > 0) looks -= line_count(log_of(folder)) > 0 ? 1 : 0;
      return true;
    };
  }

  /// Rank 0 has a file of the folder half-written.
  [[nodiscard]] std::function<bool()> writing(const std::string& folder, const std::string& beginning) const {
    return [this, folder, beginning] {
      std::error_code error;
      for (const auto& entry : std::filesystem::directory_iterator(folder_.file(folder), error))
        if (entry.path().extension() == ".partial" && entry.path().filename().string().starts_with(beginning))
          return true;
      return false;
    };
  }

  /// Kills the victim where it stands when the moment has come. It is stopped first: if the moment has passed
  /// meanwhile, the next one is waited for.
  void strike(TrainingRun& run, std::size_t ranks, const std::string& folder, const Strike& one) {
    ASSERT_TRUE(run.wait_until([&] { return run.ranks().size() == ranks; })) << run.err();
    const std::vector<pid_t> all = run.ranks();
    const pid_t victim = all.at(one.victim);
    const auto may_begin = [&] {
      return one.is_in_training ? has_open(all.front(), log_of(folder))
                                : std::all_of(all.begin(), all.end(), has_begun);
    };
    ASSERT_TRUE(run.wait_until(may_begin)) << run.err();
    while (true) {
      ASSERT_TRUE(run.wait_until(one.moment) && stop_process(victim)) << one.name << ": " << run.err();
      if (one.moment()) break;
      ::kill(victim, SIGCONT);
    }
    const std::vector<pid_t> processes = run.processes();
    ::kill(victim, SIGKILL);
    const auto end = run.wait(kMostSeconds);
    ASSERT_TRUE(end.has_value()) << "still running: " << run.err();
    EXPECT_EQ(end->status, 3) << one.name << ": " << end->err;
    for (const pid_t process : processes) EXPECT_FALSE(is_alive(process)) << one.name;
    expect_named(end->err, ranks, one);
  }

  /// Who was ended, and every survivor with what it waited for.
  static void expect_named(const std::string& err, std::size_t ranks, const Strike& one) {
    const std::string ended =
        "gabra: the training stopped: rank " + std::to_string(one.victim) + " on \\S+ was ended by";
    EXPECT_TRUE(std::regex_search(err, std::regex(ended + " signal 9"))) << one.name << ": " << err;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      if (rank == one.victim) continue;
      const std::string line = "gabra-exec: rank " + std::to_string(rank) +
                               ": stopped by SIGTERM in step \\d+, while waiting for (" + one.waits_for + ")";
      EXPECT_TRUE(std::regex_search(err, std::regex(line))) << one.name << ": " << err;
    }
  }

  /// Runs `line` in `folder` through all strikes, resuming after each, and then to its end.
  void run_through(const std::string& line, const std::string& folder, std::size_t ranks,
                   const std::vector<Strike>& strikes) {
    const std::string command = line + " --checkpoint-dir " + folder;
    bool is_first = true;
    for (const Strike& one : strikes) {
      std::printf("seed %u: rank %zu of %zu is killed %s\n", seed(), one.victim, ranks, one.name.c_str());
      TrainingRun training(split_words(command + (is_first ? "" : " --resume")), folder_.path());
      strike(training, ranks, folder, one);
      if (HasFatalFailure()) return;
      is_first = false;
    }
    (void)run(command + " --resume");
  }

  void expect_same(const std::string& folder, const std::string& whole, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      const std::string expected = read_text(folder_.file(whole + "/" + file));
      EXPECT_FALSE(expected.empty()) << file;
      EXPECT_TRUE(read_text(folder_.file(folder + "/" + file)) == expected) << folder << "/" << file;
    }
  }
};

// What a rank waits for within a step, and where steps end.
const std::string kOfAStep =
    "(Receive|Send|AllReduce|ClipNorm|CombineStatistics) .*rank|the loss of step \\d+ from all";
const std::string kOfACheckpoint =
    "|the checkpoint of step \\d+ |answers of all ranks beside the checkpoint|the memory";
const std::string kOfTheStart =
    "|the start of MPI on all ranks|the communicators of all ranks|the data set|.*checkpoint.* (from|by) rank "
    "0|answers";

TEST_F(Faults, ARankKilledAtAnyMomentStopsAllAndResumesBitForBit) {
  make_plan("two", "0-5@0 6-12@1", "", "3d-resattnet-18:width=16,input=1x16x16x16");
  const std::string line = "train --plan two.json --synthetic --steps 40 --checkpoint-every 5 --keep 2";
  (void)run(line + " --checkpoint-dir whole");
  const std::string any = kOfAStep + kOfACheckpoint;
  std::vector<Strike> strikes{{"while MPI starts", random_() % 2, [] { return true; }, any + kOfTheStart, false},
                              {"before the first step", random_() % 2, [] { return true; }, any}};
  for (const std::size_t from : {std::size_t{1}, std::size_t{6}, std::size_t{11}, std::size_t{16}})
    strikes.push_back({"in or after a step", random_() % 2, after_steps("ckpt", from + random_() % 5), any});
  strikes.push_back({"while it writes a checkpoint", 0, writing("ckpt", "step-"), kOfACheckpoint.substr(1)});
  strikes.push_back({"while rank 0 writes a checkpoint", 1, writing("ckpt", "step-"), any});
  run_through(line, "ckpt", 2, strikes);
  expect_same("ckpt", "whole", {"step-000035.pt", "step-000040.pt"});
}

TEST_F(Faults, ThreeRanksAndRestartsByThemselves) {
  make_plan("three", "0-5@0,1 6-12@2");
  const std::string line = "train --plan three.json --synthetic --steps 30 --checkpoint-every 5 --keep 2";
  (void)run(line + " --checkpoint-dir whole");
  TrainingRun run(split_words(line + " --checkpoint-dir ckpt --max-restarts 1"), folder_.path());
  ASSERT_TRUE(run.wait_until([&] { return run.ranks().size() == 3 && line_count(log_of("ckpt")) >= 12; })) << run.err();
  const auto first = run.ranks();
  ASSERT_EQ(first.size(), 3U);
  ::kill(first[random_() % 3], SIGKILL);
  const auto end = run.wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status, 0) << end->err;
  EXPECT_NE(end->err.find("starting again"), std::string::npos) << end->err;
  expect_same("ckpt", "whole", {"step-000030.pt"});
  for (const pid_t process : first) EXPECT_FALSE(is_alive(process));
}

/// People with several visits, so that an evaluation lasts; a network with dropout.
class FaultsWithScans : public Faults {
 protected:
  static constexpr std::int64_t kEdge = 12;

  void make_scans() {
    std::string table = "participant_id\tgroup\n";
    for (std::uint64_t person = 0; person < 16; ++person) {
      const std::string id = "sub-" + std::to_string(100 + person);
      table += id + (person % 2 == 0 ? "\tAD\n" : "\tNC\n");
      for (int visit = 0; visit < 6; ++visit) {
        Rng rng = Rng::substream(20220701, person, static_cast<std::uint64_t>(visit));
        data::Volume volume{{kEdge, kEdge, kEdge}, data::identity_affine(), {}};
        for (std::int64_t i = 0; i < kEdge * kEdge * kEdge; ++i)
          volume.voxels.push_back(static_cast<float>(rng.normal() + (person % 2 == 0 && i % kEdge < 6 ? 1.0 : 0.0)));
        const std::string folder = folder_.file("data/" + id + "/ses-M" + std::to_string(visit) + "/anat");
        std::filesystem::create_directories(folder);
        data::write_nifti(folder + "/" + id + "_ses-M" + std::to_string(visit) + "_T1w.nii.gz", volume);
      }
    }
    write_text(folder_.file("data/participants.tsv"), table);
    write_text(folder_.file("network.json"), R"({"schema": "gabra/network/1", "name": "with dropout", "layers": [
      {"name": "input", "kind": "input", "shape": [1, 24, 24, 24]},
      {"name": "a.conv", "kind": "convolution", "inputs": ["input"], "out_channels": 16, "kernel": [3, 3, 3], "padding": [1, 1, 1]},
      {"name": "a.bn", "kind": "batch_norm", "inputs": ["a.conv"]},
      {"name": "a.relu", "kind": "relu", "inputs": ["a.bn"]},
      {"name": "a.dropout", "kind": "dropout", "inputs": ["a.relu"], "probability": 0.2},
      {"name": "b.conv", "kind": "convolution", "inputs": ["a.dropout"], "out_channels": 16, "kernel": [3, 3, 3], "padding": [1, 1, 1]},
      {"name": "b.relu", "kind": "relu", "inputs": ["b.conv"]},
      {"name": "pool", "kind": "adaptive_average_pool", "inputs": ["b.relu"], "output": [1, 1, 1]},
      {"name": "flatten", "kind": "flatten", "inputs": ["pool"]},
      {"name": "dropout", "kind": "dropout", "inputs": ["flatten"]},
      {"name": "head", "kind": "linear", "inputs": ["dropout"], "out_features": 2}],
      "unit_ends": ["a.relu", "a.dropout", "b.relu", "head"]})");
  }

  /// The last step of an epoch is in the log, and its evaluation is not.
  [[nodiscard]] std::function<bool()> evaluating(const std::string& folder, std::int64_t epoch) const {
    return [this, folder, epoch] {
      std::istringstream text(read_text(log_of(folder)));
      std::string last;
      for (std::string one; std::getline(text, one) && !text.eof();) last = one;
      const auto value = nlohmann::json::parse(last, nullptr, false);
      return value.is_object() && value.at("kind") == "step" && value.at("step") == epoch * kStepsPerEpoch;
    };
  }
  // 16 people, 70 % of each class of 8 for training (6, rounded), 6 visits: 72 scans, in batches of 8.
  static constexpr std::int64_t kStepsPerEpoch = 9;
};

TEST_F(FaultsWithScans, KilledWithinAnEvaluationItResumesBitForBit) {
  make_scans();
  make_plan("two", "0-1@0 2-3@1", "--optimizer adamw --clip-norm 0.5", "network.json");
  const std::string line =
      "train --plan two.json --data data --task ad-nc --sessions all --augment --epochs 4 --schedule cosine "
      "--learning-rate 0.01 --weight-decay 0.01 --checkpoint-every 4 --seed 7";
  (void)run(line + " --checkpoint-dir whole");
  ASSERT_EQ(read_log("whole/log.jsonl", "step").size(), 4 * kStepsPerEpoch);
  const std::string evaluation =
      "the memory of all ranks|the weights of step \\d+ from all|scans \\d+ to \\d+ of \\d+ in|the measures after step";
  const std::string any = kOfAStep + kOfACheckpoint + "|" + evaluation;
  run_through(line, "ckpt", 2,
              {{"within the first evaluation", 1, evaluating("ckpt", 1), evaluation},
               {"in or after a step", random_() % 2, after_steps("ckpt", 9 + random_() % 8), any},
               {"within the second evaluation", 0, evaluating("ckpt", 2), evaluation}});
  expect_same("ckpt", "whole", {"step-000032.pt", "step-000036.pt", "best.json"});
  const std::string best = nlohmann::json::parse(read_text(folder_.file("whole/best.json"))).at("file");
  expect_same("ckpt", "whole", {best});
  // Nobody may change sides.
  const std::string other = run(line + " --checkpoint-dir ckpt --resume --folds 3 --fold 1", 2).err;
  EXPECT_NE(other.find("ckpt/step-000036.json: saw another division of the people"), std::string::npos) << other;
  // The measures of every epoch are the same too.
  const auto epochs = read_log("ckpt/log.jsonl", "epoch");
  const auto expected = read_log("whole/log.jsonl", "epoch");
  ASSERT_EQ(epochs.size(), 4U);
  for (std::size_t i = 0; i < epochs.size(); ++i)
    for (const char* field : {"train_loss", "validation", "test"})
      EXPECT_EQ(epochs[i].at(field), expected[i].at(field)) << i << " " << field;
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
  EXPECT_NE(err.find("ckpt/step-000002.pt could not be written"), std::string::npos) << err;
  EXPECT_FALSE(std::filesystem::exists(folder_.file("ckpt/step-000002.pt.partial")));
  EXPECT_EQ(run_json(train + "2 --resume").at("first_step"), 2);
}

TEST_F(Faults, APeerThatNeverAnswersIsATimeout) {
  make_plan("two", "0-5@0 6-12@1");
  // A rank that is stopped in the short time between a step and the sum of its loss leaves the other waiting for that
  // sum, which no instruction is; another try then.
  const std::regex instruction(
      R"(gabra-exec: rank 0: .*no answer for 2\.\d s: waits for (Receive|Send) .*stage \d.*(from|to) rank 1)");
  const std::regex loss(R"(gabra-exec: rank 0: waited 2\.\d s for the loss of step \d+ from all ranks: no answer)");
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    const std::string log = "log" + std::to_string(i) + ".jsonl";
    TrainingRun stuck(split_words("train --plan two.json --synthetic --steps 100000 --timeout 2s --log " + log),
                      folder_.path());
    ASSERT_TRUE(stuck.wait_until([&] { return line_count(folder_.file(log)) > 3; })) << stuck.err();
    const auto ranks = stuck.ranks();
    ASSERT_EQ(ranks.size(), 2U);
    const auto processes = stuck.processes();
    ASSERT_TRUE(stop_process(ranks[1]));
    const auto end = stuck.wait(2.0 + kMostSeconds);
    ASSERT_TRUE(end.has_value()) << stuck.err();
    EXPECT_EQ(end->status, 3);
    for (const pid_t process : processes) EXPECT_FALSE(is_alive(process));
    if (std::regex_search(end->err, instruction)) return;
    ASSERT_TRUE(std::regex_search(end->err, loss)) << end->err;
  }
  FAIL() << "no instruction was named in " << kTries << " tries";
}

}  // namespace
}  // namespace gabra::test
