// SPDX-License-Identifier: MIT
#include "support/training_case.hpp"
#include "support/training_run.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace gabra::test {
namespace {

using nlohmann::json;

class Train : public TrainingCase {};

std::set<std::string> track_names(const json& trace) {
  std::set<std::string> names;
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == "M" && event.at("args").contains("name"))
      names.insert(event.at("args").at("name").get<std::string>());
  return names;
}

TEST_F(Train, TwoStagesOnTwoRanks) {
  make_plan("plan", "0-4@0 5-12@1");
  const json result = run_json(
      "train --plan plan.json --synthetic --steps 5 --log log.jsonl --trace run.json --schedule cosine "
      "--warmup-steps 2 --learning-rate 0.01 --seed 3");
  EXPECT_EQ(result.at("steps"), 5);
  EXPECT_EQ(result.at("seed"), 3);
  ASSERT_EQ(result.at("losses").size(), 5U);
  EXPECT_GT(result.at("step_time_s").get<double>(), 0.0);
  EXPECT_NEAR(result.at("samples_per_s").get<double>() * result.at("step_time_s").get<double>(), 8.0, 1e-9);
  ASSERT_EQ(result.at("devices").size(), 2U);
  for (const json& device : result.at("devices")) EXPECT_GT(device.at("peak_memory_bytes").get<double>(), 1e5);
  const auto steps = read_log("log.jsonl", "step");
  ASSERT_EQ(steps.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(steps[i].at("step"), i + 1);
    EXPECT_EQ(steps[i].at("loss"), result.at("losses")[i]);
  }
  // Warm-up: 0.01 x 1/2, 0.01; then 0.01 (1 + cos(pi t / 3)) / 2 for t = 0, 1, 2.
  const std::vector<double> rates{0.005, 0.01, 0.01, 0.0075, 0.0025};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(steps[i].at("learning_rate").get<double>(), rates[i], 1e-12);
  // The measured timeline has the tracks of the simulated one.
  (void)run("simulate --plan plan.json --trace predicted.json --json");
  EXPECT_EQ(track_names(json::parse(read_text(folder_.file("run.json")))),
            track_names(json::parse(read_text(folder_.file("predicted.json")))));
}

TEST_F(Train, PlansTrainAlikeAndRepeatBitForBit) {
  // Large enough for batch norm to have more than two values per channel.
  const std::string network = "3d-resattnet-18:width=8,input=1x64x64x64";
  make_plan("serial", "0-12@0", "", network);
  make_plan("both", "0-5@0,1 6-12@2/always", "--schedule gpipe", network);
  const std::string line = " --synthetic --steps 3 --checkpoint-dir ";
  const json serial = run_json("train --plan serial.json" + line + "a");
  const json both = run_json("train --plan both.json" + line + "b");
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(both.at("losses")[i].get<double>(), serial.at("losses")[i].get<double>(), 1e-5);
  (void)run("train --plan both.json" + line + "c");
  EXPECT_EQ(read_text(folder_.file("b/step-000003.pt")), read_text(folder_.file("c/step-000003.pt")));
}

TEST_F(Train, WithWideSumsEveryPlanEndsWithTheSameBits) {
  const std::string network = "3d-resattnet-18:width=8,input=1x32x32x32";
  for (const char* settings : {"--gradient-sum wide", "--gradient-sum wide --optimizer adamw --clip-norm 0.5"}) {
    const std::string wide = settings;
    make_plan("serial", "0-12@0", wide, network);
    make_plan("replicas", "0-12@0,1,2", wide + " --bucket 1kB", network);
    make_plan("uneven", "0-3@0,1 4-8@2/always 9-12@1", wide + " --schedule gpipe", network);
    for (const char* plan : {"serial", "replicas", "uneven"})
      (void)run("train --plan " + std::string(plan) +
                ".json --synthetic --steps 12 --learning-rate 0.05 --checkpoint-dir " + plan);
    const std::string expected = read_text(folder_.file("serial/step-000012.pt"));
    for (const char* plan : {"replicas", "uneven"})
      EXPECT_TRUE(read_text(folder_.file(std::string(plan) + "/step-000012.pt")) == expected)
          << settings << " " << plan;
    for (const char* plan : {"serial", "replicas", "uneven"}) std::filesystem::remove_all(folder_.file(plan));
  }
}

TEST_F(Train, ResumesBitForBitAndByAnotherPlan) {
  make_plan("plan", "0-5@0 6-12@1");
  make_plan("serial", "0-12@0");
  const std::string line = "train --plan plan.json --synthetic --schedule step --checkpoint-every 2 --steps ";
  (void)run(line + "6 --checkpoint-dir whole");
  (void)run(line + "3 --checkpoint-dir parts");
  EXPECT_TRUE(std::filesystem::exists(folder_.file("parts/step-000003.json")));
  // Without --resume an older training is not overwritten.
  EXPECT_NE(run(line + "6 --checkpoint-dir parts", 2).err.find("--resume"), std::string::npos);
  const json resumed = run_json(line + "6 --checkpoint-dir parts --resume");
  EXPECT_EQ(resumed.at("first_step"), 4);
  EXPECT_EQ(read_text(folder_.file("parts/step-000006.pt")), read_text(folder_.file("whole/step-000006.pt")));
  const auto log = read_log("parts/log.jsonl", "step");
  ASSERT_EQ(log.size(), 6U);
  EXPECT_EQ(log[5].at("loss"), read_log("whole/log.jsonl", "step")[5].at("loss"));
  // By another plan, from a damaged newest checkpoint: the one before it is used.
  std::filesystem::resize_file(folder_.file("parts/step-000006.pt"), 1000);
  const Outcome other =
      run("train --plan serial.json --synthetic --schedule step --steps 7 --checkpoint-dir parts --resume --json");
  EXPECT_NE(other.err.find("step-000006.pt"), std::string::npos) << other.err;
  EXPECT_EQ(json::parse(other.out).at("first_step"), 5);
  EXPECT_NEAR(json::parse(other.out).at("losses")[0].get<double>(), log[4].at("loss").get<double>(), 1e-5);
}

TEST_F(Train, ResumeRefusesWhatWouldNotEndWithTheSameBits) {
  make_plan("plan", "0-12@0");
  make_plan("clipped", "0-12@0", "--clip-norm 1", kNetwork, 2);
  (void)run("train --plan plan.json --synthetic --steps 2 --checkpoint-dir ckpt");
  const Outcome other =
      run("train --plan clipped.json --synthetic --steps 4 --checkpoint-dir ckpt --resume --learning-rate 0.01 "
          "--momentum 0.5 --weight-decay 0.1 --warmup-steps 3 --seed 5",
          2);
  std::size_t lines = 0;
  for (const char* difference :
       {"the learning rate 0.001", "the momentum 0.9", "the weight decay 0", "steps of warm-up: 0", "the seed 0",
        "the clip norm none", "micro-batches per step: 4"}) {
    EXPECT_NE(other.err.find("gabra: ckpt/step-000002.json: saw " + std::string(difference)), std::string::npos)
        << difference << "\n"
        << other.err;
    ++lines;
  }
  EXPECT_EQ(static_cast<std::size_t>(std::count(other.err.begin(), other.err.end(), '\n')), lines) << other.err;
  // A cosine depends on the length; the others do not.
  const std::string cosine = "train --plan plan.json --synthetic --schedule cosine --checkpoint-dir cosine --steps ";
  (void)run(cosine + "2");
  EXPECT_NE(run(cosine + "4 --resume", 2).err.find("a cosine schedule of steps: 2"), std::string::npos);
  EXPECT_EQ(run_json("train --plan plan.json --synthetic --steps 3 --checkpoint-dir ckpt --resume").at("first_step"),
            3);
}

TEST_F(Train, FlagsThatComeToNothingAreNamed) {
  make_plan("plan", "0-12@0");
  const std::string line = "train --plan plan.json --synthetic --steps 1 --resume --checkpoint-dir ";
  const Outcome anew = run(line + "ckpt");
  EXPECT_NE(anew.err.find("gabra: --resume: no checkpoint in ckpt: the training starts anew"), std::string::npos)
      << anew.err;
  const Outcome again = run(line + "ckpt --weights ckpt/step-000001.pt --trace run.json");
  EXPECT_NE(
      again.err.find("--weights ckpt/step-000001.pt is not read: the training goes on from ckpt/step-000001.json"),
      std::string::npos)
      << again.err;
  EXPECT_NE(again.err.find("--trace run.json is not written: step 1 was done already"), std::string::npos) << again.err;
  EXPECT_FALSE(std::filesystem::exists(folder_.file("run.json")));
}

TEST_F(Train, BadInputIsReportedBeforeAnythingStarts) {
  make_plan("plan", "0-12@0,1");
  const Outcome flags = run("train --plan plan.json --data nowhere --synthetic --epochs 0 --fold 3 --momentum 2", 2);
  for (const char* place : {"--data:", "--data, --synthetic", "--epochs", "--fold", "--momentum"})
    EXPECT_NE(flags.err.find(place), std::string::npos) << place << "\n" << flags.err;
  (void)run("train --plan none.json --synthetic --steps 1", 2);
  (void)run("simulate --network " GABRA_DATA_DIR
            "/pipedream_profiles/vgg16.txt --cluster workstation-2 --stages 0-15@0 "
            "--global-batch 64 --micro-batches 1 -o opaque.json");
  EXPECT_NE(run("train --plan opaque.json --synthetic --steps 1", 2).err.find("opaque"), std::string::npos);
}

TEST_F(Train, FaultsFoundByTheRanksAreStatusTwo) {
  make_plan("plan", "0-12@0,1");
  make_plan("wide", "0-12@0,1", "", "3d-resattnet-18:width=16,input=1x16x16x16");
  (void)run("train --plan plan.json --synthetic --steps 1 --checkpoint-dir a");
  const Outcome other = run("train --plan wide.json --synthetic --steps 2 --checkpoint-dir a --resume", 2);
  EXPECT_NE(other.err.find("a checkpoint of another network"), std::string::npos) << other.err;
  const Outcome weights = run("train --plan wide.json --synthetic --steps 1 --weights a/step-000001.pt", 2);
  EXPECT_NE(weights.err.find("weights of another network"), std::string::npos) << weights.err;
  // Said once, although two ranks ran.
  EXPECT_EQ(weights.err.find("weights of another network"), weights.err.rfind("weights of another network"));
  write_text(folder_.file("x.pt"), "nonsense");
  (void)run("train --plan plan.json --synthetic --steps 1 --weights x.pt", 2);
}

TEST_F(Train, ALossThatIsNoNumberStops) {
  make_plan("plan", "0-5@0 6-12@1");
  const Outcome result = run("train --plan plan.json --synthetic --steps 20 --learning-rate 1e30", 3);
  EXPECT_NE(result.err.find("the loss is not a number in step"), std::string::npos) << result.err;
}

TEST_F(Train, WeightsThatAreNoNumbersAreNotKept) {
  make_plan("plan", "0-5@0 6-12@1");
  // An epoch has 16 steps: step 17 has the learning rate 1e297, a loss that is a number, and makes weights that are
  // not.
  const Outcome result =
      run("train --plan plan.json --synthetic --steps 20 --schedule step --step-epochs 1 --step-factor 1e300 "
          "--checkpoint-every 1 --keep 2 --checkpoint-dir ckpt",
          3);
  EXPECT_NE(result.err.find("has values that are no finite numbers after step 17"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("the last checkpoint is ckpt/step-000016.pt"), std::string::npos) << result.err;
  EXPECT_TRUE(std::filesystem::exists(folder_.file("ckpt/step-000016.pt")));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("ckpt/step-000017.pt")));
}

TEST_F(Train, EveryKindOfNetworkTrainsOnSyntheticSamples) {
  for (const std::string network :
       {"unet-3d:width=4,input=1x16x16x16", "gpt:layers=1,hidden=16,heads=2,sequence=8,vocabulary=50"}) {
    (void)run("optimize --network " + network +
              " --cluster workstation-cpu --global-batch 4 --planner data-parallel -o p.json --quiet");
    const json result = run_json("train --plan p.json --synthetic --steps 2");
    EXPECT_TRUE(std::isfinite(result.at("final_loss").get<double>())) << network;
  }
}

// Tensors alive at most: buffers that wait for messages, replicas, skips, several stages on a rank, float32 copies.
TEST_F(Train, PeaksAreThoseOfTheSimulation) {
  const std::string unet = "unet-3d:width=8,input=1x32x32x32,depth=3";
  const std::string vgg = "vgg-16:width=16,input=3x64x64,classes=10";
  const struct {
    std::string stages, more, network;
  } cases[] = {
      {"0-4@0 5-9@1,2 10-15@0", "", unet},
      {"0-7@0 8-15@1", "--precision bfloat16 --optimizer adamw --clip-norm 1", unet},
      {"0-7@1 8-15@0/always", "--schedule gpipe", unet},
      {"0-4@0 5-12@1", "--clip-norm 1 --gradient-sum wide", "3d-resattnet-18:width=16,input=1x48x48x48"},
      {"0-4@0,1 5-12@2", "--precision bfloat16", "3d-resattnet-18:width=16,input=1x48x48x48"},
      {"0-5@1 6-15@0", "--schedule sequential", vgg},
  };
  for (const auto& one : cases) {
    make_plan("plan", one.stages, one.more, one.network, 2);
    std::map<std::string, double> predicted;
    for (const json& device : run_json("simulate --plan plan.json").at("devices"))
      predicted[device.at("device")] = device.at("peak_memory_bytes").get<double>();
    for (const json& device : run_json("train --plan plan.json --synthetic --steps 3").at("devices"))
      EXPECT_NEAR(predicted.at(device.at("name")) / device.at("peak_memory_bytes").get<double>(), 1.0, 0.1)
          << one.network << " " << one.stages << " " << one.more << " " << device;
  }
}

TEST_F(Train, TasksWithoutMpiAreNamed) {
  make_plan("plan", "0-12@0");
  const std::string line = "cd " + folder_.path() +
                           " && SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 " GABRA_COMMAND
                           " train --plan plan.json --synthetic --steps 2 > out.txt 2> err.txt";
  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 2);
  EXPECT_NE(read_text(folder_.file("err.txt")).find("--mpi=pmix"), std::string::npos)
      << read_text(folder_.file("err.txt"));
}

TEST_F(Train, AnOutputThatIsLostIsAFault) {
  make_plan("plan", "0-12@0");
  const std::string line = "cd " + folder_.path() +
                           " && " GABRA_COMMAND " train --plan plan.json --synthetic --steps 2 > /dev/full 2> err.txt";
  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 2);
  EXPECT_NE(read_text(folder_.file("err.txt")).find("stdout: saw an output that cannot be written"), std::string::npos);
}

TEST_F(Train, NoOutputTakesTheFileOfAnother) {
  make_plan("plan", "0-12@0");
  const std::string plan = read_text(folder_.file("plan.json"));
  const std::string line = "train --plan plan.json --synthetic --steps 2 ";
  EXPECT_NE(run(line + "--trace plan.json", 2).err.find("which --plan reads"), std::string::npos);
  EXPECT_NE(run(line + "--log ./plan.json", 2).err.find("which --plan reads"), std::string::npos);
  EXPECT_NE(run(line + "--log l --trace l", 2).err.find("which --log writes"), std::string::npos);
  EXPECT_EQ(read_text(folder_.file("plan.json")), plan);
}

TEST_F(Train, ARankOfAnMpirunJobJoinsIt) {
  make_plan("plan", "0-5@0 6-12@1");
  const std::string line = "cd " + folder_.path() +
                           " && mpirun --allow-run-as-root --oversubscribe -np 2 " GABRA_COMMAND
                           " train --plan plan.json --synthetic --steps 2 --json > out.json 2> err.txt";
  EXPECT_EQ(std::system(line.c_str()), 0) << read_text(folder_.file("err.txt"));
  EXPECT_EQ(json::parse(read_text(folder_.file("out.json"))).at("devices").size(), 2U);
}

TEST_F(Train, CtrlCEndsEverything) {
  make_plan("plan", "0-5@0 6-12@1");
  TrainingRun run(split_words("train --plan plan.json --synthetic --steps 100000 --log log.jsonl"), folder_.path());
  ASSERT_TRUE(run.wait_until([&] { return line_count(folder_.file("log.jsonl")) > 2; })) << run.err();
  const auto ranks = run.ranks();
  EXPECT_EQ(ranks.size(), 2U);
  ::kill(run.id(), SIGINT);
  const auto end = run.wait(10.0);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->status, 128 + SIGINT);
  for (const pid_t rank : ranks) EXPECT_FALSE(is_alive(rank));
}

}  // namespace
}  // namespace gabra::test
