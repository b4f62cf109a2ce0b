// SPDX-License-Identifier: MIT
#include "gabra/exec/checkpoint.hpp"
#include "../cli/command.hpp"
#include "evaluation.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/pickle.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/network/zoo.hpp"
#include "model_state.hpp"
#include "resume_check.hpp"
#include "whole_network.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

namespace gabra::exec {
namespace {

using test::read_text;
using test::TemporaryFolder;
using test::write_text;

bool has_python() { return std::filesystem::exists(GABRA_PYTHON); }

/// Runs a Python program with the torch of build/venv; its exit status.
int run_python(const TemporaryFolder& folder, const std::string& program) {
  write_text(folder.file("program.py"), program);
  const std::string line = "cd " + folder.path() + " && " GABRA_PYTHON " program.py > python.log 2>&1";
  const int status = std::system(line.c_str());
  EXPECT_EQ(status, 0) << read_text(folder.file("python.log"));
  return status;
}

std::vector<NamedTensor> some_tensors() {
  at::manual_seed(1);
  return {{"a.weight", at::randn({2, 3, 4})},
          {"a.running_mean", at::randn({3})},
          {"half", at::randn({5}).to(at::kBFloat16)},
          {"double", at::randn({2}).to(at::kDouble)},
          {"count", at::arange(7)},
          {"scalar", at::scalar_tensor(2.5)},
          {"empty", at::empty({0, 3})}};
}

void expect_equal(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_EQ(a[i].tensor.scalar_type(), b[i].tensor.scalar_type()) << a[i].name;
    EXPECT_TRUE(a[i].tensor.equal(b[i].tensor)) << a[i].name;
  }
}

CheckpointInfo info_at(std::int64_t step) {
  CheckpointInfo info;
  info.step = step;
  info.epoch = 2;
  info.step_of_epoch = 3;
  info.seed = 0xFFFFFFFFFFFFFFFFULL;
  info.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x16x16x16"));
  info.training.clip_norm = 1.5;
  info.training.optimizer = Optimizer::AdamW;
  info.run = RunSettings{4, {{0.01, LearningRateRule::Cosine, 7, 2, 0.5}, 0.8, 1e-4}, 90, "augmented scans"};
  info.data = R"({"classes":["NC","AD"]})";
  return info;
}

/// What is printed on stderr meanwhile.
std::string said_while(const std::function<void()>& work) {
  testing::internal::CaptureStderr();
  work();
  return testing::internal::GetCapturedStderr();
}

void flip_a_bit(const std::string& path) {
  std::string text = read_text(path);
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
  write_text(path, text);
}

using Names = std::vector<std::string>;
constexpr auto kStay = CheckpointFolder::Damaged::Stay;
constexpr auto kSetAside = CheckpointFolder::Damaged::SetAside;

TEST(TensorFile, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const FileDigest digest = write_tensors(folder.file("t.pt"), some_tensors());
  expect_equal(read_tensors(folder.file("t.pt")), some_tensors());
  EXPECT_EQ(digest_of(folder.file("t.pt")), digest);
  EXPECT_EQ(static_cast<std::int64_t>(std::filesystem::file_size(folder.file("t.pt"))), digest.bytes);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"t.pt"});
  // The same tensors are the same bytes.
  (void)write_tensors(folder.file("u.pt"), some_tensors());
  EXPECT_EQ(read_text(folder.file("t.pt")), read_text(folder.file("u.pt")));
}

TEST(TensorFile, PythonReadsItWithWeightsOnly) {
  if (!has_python()) GTEST_SKIP() << GABRA_PYTHON << " is not there";
  const TemporaryFolder folder;
  (void)write_tensors(folder.file("t.pt"), some_tensors());
  ASSERT_EQ(run_python(folder, R"(
import torch
t = torch.load("t.pt", weights_only=True)
assert type(t) is dict and list(t) == ["a.weight", "a.running_mean", "half", "double", "count", "scalar", "empty"], list(t)
assert t["a.weight"].shape == (2, 3, 4) and t["half"].dtype == torch.bfloat16 and t["empty"].shape == (0, 3)
assert t["count"].tolist() == list(range(7)) and t["scalar"].item() == 2.5 and t["scalar"].shape == ()
torch.save({k: v.clone() for k, v in t.items()}, "u.pt")
)"),
            0);
  expect_equal(read_tensors(folder.file("u.pt")), some_tensors());
}

TEST(TensorFile, ReadsWhatPythonSaves) {
  if (!has_python()) GTEST_SKIP() << GABRA_PYTHON << " is not there";
  const TemporaryFolder folder;
  ASSERT_EQ(run_python(folder, R"(
import torch
from torch import nn
m = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))
m[0].weight.data = torch.arange(54.).view(2, 1, 3, 3, 3)
state = m.state_dict()
torch.save(state, "state.pt")
torch.save({"epoch": 3, "best": 0.5, "name": "x", "state_dict": state, "none": None, "list": [1, 2.0, True]}, "nested.pt")
whole = torch.arange(12.).view(3, 4)
torch.save({"transposed": whole.t(), "row": whole[1], "parameter": nn.Parameter(whole)}, "views.pt")
torch.save({k: v for k, v in state.items()}, "p4.pt", pickle_protocol=4)
torch.save(state, "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(m, "module.pt")
)"),
            0);
  const auto state = read_tensors(folder.file("state.pt"));
  ASSERT_EQ(state.size(), 7U);
  EXPECT_EQ(state[0].name, "0.weight");
  EXPECT_TRUE(state[0].tensor.equal(at::arange(54, at::kFloat).view({2, 1, 3, 3, 3})));
  EXPECT_EQ(state[6].name, "1.num_batches_tracked");
  expect_equal(read_tensors(folder.file("nested.pt")), state);
  expect_equal(read_tensors(folder.file("p4.pt")), state);
  const at::Tensor whole = at::arange(12, at::kFloat).view({3, 4});
  expect_equal(read_tensors(folder.file("views.pt")),
               {{"transposed", whole.t()}, {"row", whole[1]}, {"parameter", whole}});
  for (const char* other : {"legacy.pt", "module.pt", "program.py", "none.pt"})
    EXPECT_THROW((void)read_tensors(folder.file(other)), InputError) << other;
}

TEST(TensorFile, DamagedFilesAreErrors) {
  const TemporaryFolder folder;
  (void)write_tensors(folder.file("t.pt"), some_tensors());
  const std::string whole = read_text(folder.file("t.pt"));
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string damaged = whole;
    if (i % 4 == 0)
      damaged.resize(random() % whole.size());
    else
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
    write_text(folder.file("d.pt"), damaged);
    try {
      (void)read_tensors(folder.file("d.pt"));
    } catch (const InputError&) {
      ++refused;
    }
  }
  // Some bytes are padding; every truncation must be seen.
  EXPECT_GE(refused, 100);
}

TEST(Pickle, MalformedOnesAreErrors) {
  const std::string good = write_pickle({{"a", "FloatStorage", {2, 3}}, {"b", "LongStorage", {}}});
  const Pickle pickle = parse_pickle(good, "x");
  const PickleValue& root = pickle.values[pickle.root];
  ASSERT_NE(pickle.find(root, "b"), nullptr);
  const auto& tensor = std::get<PickleTensor>(*pickle.find(root, "a"));
  EXPECT_EQ(tensor.strides, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(tensor.storage.elements, 6);
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW((void)parse_pickle(good.substr(0, length), "x"), InputError) << length;
  for (const std::string& bad :
       {std::string("\x80\x02"
                    "cos\nsystem\nX\x02\0\0\0ls\x85R.",
                    23),
        std::string("."), std::string("("), std::string("h\x05."), std::string("}K\x01s."), std::string("\x8a\x20")})
    EXPECT_THROW((void)parse_pickle(bad, "x"), InputError);
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    std::string text = good;
    for (int k = 0; k < 2; ++k) text[random() % text.size()] = static_cast<char>(random());
    try {
      (void)parse_pickle(text, "x");
    } catch (const InputError&) {
    }
  }
}

TEST(CheckpointFolder, KeepsTheNewestAndReadsThemBack) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 2);
  EXPECT_FALSE(checkpoints.read_newest(kStay).has_value());
  for (const std::int64_t step : {1, 2}) (void)checkpoints.write(info_at(step), some_tensors());
  EXPECT_EQ(checkpoints.write(info_at(3), some_tensors()), folder.file("step-000003.pt"));
  EXPECT_EQ(checkpoints.write_best(info_at(2), some_tensors()), folder.file("best-000002.pt"));
  EXPECT_EQ(folder.names(), (Names{"best-000002.pt", "best.json", "step-000002.json", "step-000002.pt",
                                   "step-000003.json", "step-000003.pt"}));
  const auto newest = checkpoints.read_newest(kStay);
  ASSERT_TRUE(newest.has_value());
  const CheckpointInfo& info = newest->info;
  EXPECT_EQ(info.step, 3);
  EXPECT_EQ(info.step_of_epoch, 3);
  EXPECT_EQ(info.seed, 0xFFFFFFFFFFFFFFFFULL);
  EXPECT_EQ(info.network->fingerprint(), info_at(1).network->fingerprint());
  EXPECT_EQ(info.training.clip_norm, 1.5);
  EXPECT_EQ(info.training.optimizer, Optimizer::AdamW);
  EXPECT_EQ(info.data, R"({"classes":["NC","AD"]})");
  ASSERT_TRUE(info.run.has_value());
  EXPECT_EQ(info.run->micro_batches, 4);
  EXPECT_EQ(info.run->steps, 90);
  EXPECT_EQ(info.run->samples, "augmented scans");
  EXPECT_EQ(info.run->update.momentum, 0.8);
  EXPECT_EQ(info.run->update.weight_decay, 1e-4);
  const LearningRate& rate = info.run->update.learning_rate;
  EXPECT_EQ(rate.base, 0.01);
  EXPECT_EQ(rate.rule, LearningRateRule::Cosine);
  EXPECT_EQ(rate.warmup_steps, 7);
  EXPECT_EQ(rate.epochs_per_step, 2);
  EXPECT_EQ(rate.factor, 0.5);
  expect_equal(newest->tensors, some_tensors());
  // A folder means the best, a file itself.
  EXPECT_EQ(read_checkpoint(folder.path()).info.step, 2);
  EXPECT_EQ(read_checkpoint(folder.file("best-000002.pt")).info.step, 2);
  EXPECT_EQ(read_checkpoint(folder.file("best.json")).info.step, 2);
  EXPECT_EQ(read_checkpoint(folder.file("step-000003.pt")).info.step, 3);
  EXPECT_THROW((void)read_checkpoint(folder.file("step-000001.pt")), InputError);
  write_text(folder.file("best-000001.pt"), "not the one of best.json");
  EXPECT_THROW((void)read_checkpoint(folder.file("best-000001.pt")), InputError);
}

TEST(CheckpointFolder, ADamagedNewestIsPassedOver) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 5);
  for (const std::int64_t step : {1, 2, 3, 4}) (void)checkpoints.write(info_at(step), some_tensors());
  flip_a_bit(folder.file("step-000004.pt"));
  write_text(folder.file("step-000003.json"), "{");
  const Names before = folder.names();
  const std::string report = said_while([&] { EXPECT_EQ(checkpoints.read_newest(kStay)->info.step, 2); });
  EXPECT_NE(report.find(folder.file("step-000004.pt") + ": saw the checksum"), std::string::npos) << report;
  EXPECT_NE(report.find(folder.file("step-000003.json")), std::string::npos) << report;
  EXPECT_EQ(folder.names(), before);
  // All damaged: an error, and nothing is set aside, for then the next run would find none and start anew.
  std::filesystem::resize_file(folder.file("step-000002.pt"), 100);
  std::filesystem::remove(folder.file("step-000001.pt"));
  const Names damaged = folder.names();
  (void)said_while([&] { EXPECT_THROW((void)checkpoints.read_newest(kSetAside), InputError); });
  EXPECT_EQ(folder.names(), damaged);
}

TEST(CheckpointFolder, OneTrainingAtATime) {
  const TemporaryFolder folder;
  CheckpointFolder second(folder.path(), 1);
  {
    CheckpointFolder first(folder.path(), 1);
    first.lock();
    EXPECT_THROW(second.lock(), InputError);
  }
  second.lock();  // the first has ended
}

TEST(CheckpointFolder, DamagedNewerOnesAreSetAsideAndTheOneJustWrittenStays) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 1);
  (void)CheckpointFolder(folder.path(), 5).write(info_at(5), some_tensors());
  for (const std::int64_t step : {10, 11})
    (void)CheckpointFolder(folder.path(), 5).write(info_at(step), some_tensors());
  flip_a_bit(folder.file("step-000010.pt"));
  flip_a_bit(folder.file("step-000011.pt"));
  // Two damaged newer ones, of which one was kept, do not push out what is written, even where nobody set them aside.
  EXPECT_EQ(checkpoints.write(info_at(6), some_tensors()), folder.file("step-000006.pt"));
  EXPECT_TRUE(std::filesystem::exists(folder.file("step-000006.pt")));
  const std::string report = said_while([&] { EXPECT_EQ(checkpoints.read_newest(kSetAside)->info.step, 6); });
  EXPECT_NE(report.find("step-000010.pt is now"), std::string::npos) << report;
  EXPECT_EQ(folder.names(), (Names{"step-000006.json", "step-000006.pt", "step-000010.json.damaged",
                                   "step-000010.pt.damaged", "step-000011.json.damaged", "step-000011.pt.damaged"}));
  // From now on they are not looked at.
  EXPECT_EQ(said_while([&] { EXPECT_EQ(checkpoints.read_newest(kSetAside)->info.step, 6); }), "");
}

TEST(CheckpointFolder, TheBestIsWholeAtEveryMoment) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 3);
  (void)checkpoints.write_best(info_at(2), some_tensors());
  (void)checkpoints.write(info_at(4), some_tensors());
  // Killed after the tensors of a new best: best.json still speaks of the old one.
  (void)write_tensors(folder.file("best-000004.pt"), some_tensors());
  EXPECT_EQ(said_while([&] { EXPECT_EQ(read_checkpoint(folder.path()).info.step, 2); }), "");
  // The next one removes what is left of both.
  (void)checkpoints.write_best(info_at(6), some_tensors());
  EXPECT_EQ(folder.names(), (Names{"best-000006.pt", "best.json", "step-000004.json", "step-000004.pt"}));
  // Damaged: the newest in its place, and a report.
  flip_a_bit(folder.file("best-000006.pt"));
  const std::string report = said_while([&] { EXPECT_EQ(read_checkpoint(folder.path()).info.step, 4); });
  EXPECT_NE(report.find(folder.file("best-000006.pt") + ": saw the checksum"), std::string::npos) << report;
  EXPECT_NE(report.find("taking the newest in place of the best"), std::string::npos) << report;
}

TEST(CheckpointFolder, ReadsTheBestOfAnOlderVersion) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 3);
  (void)checkpoints.write_best(info_at(2), some_tensors());
  std::filesystem::rename(folder.file("best-000002.pt"), folder.file("best.pt"));
  std::string text = read_text(folder.file("best.json"));
  text.replace(text.find("best-000002.pt"), 14, "best.pt");
  write_text(folder.file("best.json"), text);
  EXPECT_EQ(read_checkpoint(folder.file("best.pt")).info.step, 2);
  (void)checkpoints.write_best(info_at(3), some_tensors());
  EXPECT_EQ(folder.names(), (Names{"best-000003.pt", "best.json"}));
}

TEST(CheckpointFolder, AValidationLossThatIsNoNumberIsNone) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 3);
  EXPECT_FALSE(checkpoints.read_best_info().has_value());
  CheckpointInfo info = info_at(2);
  for (const char* measures : {"null", R"({"loss":null})", R"({"accuracy":0.5})"}) {
    info.measures = measures;
    (void)checkpoints.write_best(info, some_tensors());
    const auto found = checkpoints.read_best_info();
    ASSERT_TRUE(found.has_value());
    EXPECT_FALSE(validation_loss(*found).has_value()) << measures;
  }
  info.measures = R"({"loss":0.25})";
  (void)checkpoints.write_best(info, some_tensors());
  EXPECT_EQ(validation_loss(*checkpoints.read_best_info()), 0.25);
  write_text(folder.file("best.json"), "{");
  const std::string report = said_while([&] { EXPECT_FALSE(checkpoints.read_best_info().has_value()); });
  EXPECT_NE(report.find(folder.file("best.json")), std::string::npos) << report;
}

TEST(Evaluation, ALossThatIsNoNumberIsNeverBetter) {
  PartResult result;
  result.loss = 0.5;
  EXPECT_TRUE(is_better(result, std::nullopt));
  EXPECT_TRUE(is_better(result, 0.6));
  EXPECT_FALSE(is_better(result, 0.5));
  for (const double loss : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    result.loss = loss;
    EXPECT_FALSE(is_better(result, std::nullopt));
    EXPECT_FALSE(is_better(result, 0.5));
  }
}

TEST(ModelState, FindsValuesThatAreNoFiniteNumbers) {
  std::vector<NamedTensor> tensors = some_tensors();
  EXPECT_EQ(first_not_finite(tensors), "");
  tensors[2].tensor[4] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(first_not_finite(tensors), "half");
  tensors[0].tensor[1][2][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(first_not_finite(tensors), "a.weight");
}

TEST(WholeNetwork, HoldsWeightsAndStatisticsAlone) {
  TensorMemory::install();
  const auto network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-18:width=16,input=1x16x16x16"));
  const std::int64_t before = TensorMemory::in_use().value();
  WholeNetwork whole(network, {});
  std::int64_t bytes = 0;
  at::manual_seed(7);
  for (const NamedTensor& named : whole.state()) {
    bytes += static_cast<std::int64_t>(named.tensor.nbytes());
    at::Tensor(named.tensor).copy_(at::rand(named.tensor.sizes()).mul_(0.1).add_(0.05));
  }
  const std::int64_t held = TensorMemory::in_use().value() - before;
  EXPECT_GE(held, bytes);
  EXPECT_LT(static_cast<double>(held), 1.01 * static_cast<double>(bytes));
  // The same numbers as a module that trains.
  StageOutline outline;
  outline.units = {0, static_cast<std::int32_t>(network->unit_count())};
  outline.devices = {DeviceId(0)};
  StageModule trains(*network, outline, Optimizer::SgdMomentum, {});
  load_module(trains, whole.state(), "test");
  const at::Tensor input = at::randn({2, 1, 16, 16, 16});
  trains.put_network_input(0, {input});
  trains.forward(0, false, {.is_training = false, .updates_statistics = false});
  EXPECT_TRUE(whole.output({input}).equal(trains.take_network_output(0).to(at::kDouble)));
}

TEST(CheckpointFolder, AFullDiskIsAnErrorAndLosesNothing) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 1);
  (void)checkpoints.write(info_at(1), some_tensors());
  // No file may be longer than this: as on a full disk, a write fails halfway.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto former = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 2000;
  setrlimit(RLIMIT_FSIZE, &limit);
  std::string message;
  try {
    (void)checkpoints.write(info_at(2), some_tensors());
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, former);
  EXPECT_NE(message.find("step-000002.pt could not be written: File too large"), std::string::npos) << message;
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"step-000001.json", "step-000001.pt"}));
  EXPECT_EQ(checkpoints.read_newest(kStay)->info.step, 1);
}

TEST(CheckpointFolder, CleansWhatAKilledProcessLeft) {
  const TemporaryFolder folder;
  write_text(folder.file("step-000001.pt.partial"), "x");
  write_text(folder.file("mine.txt"), "x");
  CheckpointFolder(folder.path(), 1).clean();
  EXPECT_EQ(folder.names(), std::vector<std::string>{"mine.txt"});
}

TEST(CheckpointInfo, TheExampleOfTheDocumentationIsOne) {
  const std::string text = read_text(GABRA_SOURCE_DIR "/docs/formats.md");
  const std::size_t section = text.find("\n## gabra/checkpoint/1\n");
  const std::size_t begin = text.find("```json\n", section) + 8;
  const CheckpointInfo info = parse_checkpoint(text.substr(begin, text.find("```", begin) - begin), "formats.md");
  EXPECT_EQ(info.step, 120);
  EXPECT_EQ(info.digest.crc32, 0x1c291ca3U);
  EXPECT_EQ(info.training.clip_norm, 1.0);
  EXPECT_TRUE(info.run.has_value());
  EXPECT_EQ(parse_checkpoint(to_json_text(info), "again").data, info.data);
}

TEST(CheckpointInfo, AnEmptyOrMissingNumberIsAFault) {
  for (const bool is_missing : {false, true}) {
    nlohmann::json document = nlohmann::json::parse(to_json_text(info_at(3)));
    document["seed"] = "";
    if (is_missing) document.erase("seed");
    try {
      (void)parse_checkpoint(document.dump(), "c.json");
      FAIL() << "a checkpoint without a seed";
    } catch (const InputError& error) {
      ASSERT_EQ(error.faults().size(), 1U) << error.what();
      EXPECT_NE(error.faults()[0].where.find("seed"), std::string::npos) << error.what();
    }
  }
}

/// Faults of going on from a checkpoint of `theirs` with a run of `ours`.
std::vector<Fault> differences(const CheckpointInfo& theirs, const CheckpointInfo& ours) {
  const Checkpoint checkpoint{theirs, "ckpt/step-000003.json", {}};
  FaultList faults;
  compare_settings(checkpoint, ours, faults);
  if (theirs.run) compare_samples(checkpoint, ours, faults);
  return faults.faults();
}

CheckpointInfo info_of_scans() {
  CheckpointInfo info = info_at(3);
  info.data = R"({"task":"ad-nc","classes":["NC","AD"],"extent":[16,16,16],"voxel_mm":0.0,"low_percentile":0.5,
    "high_percentile":99.5,"train":["sub-1","sub-2"],"validation":["sub-3"],"test":["sub-4"],
    "train_scans":"00000000000000aa"})";
  return info;
}

void replace_in(std::string& text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
}

TEST(ResumeCheck, EachDifferenceIsOneFaultThatNamesTheFile) {
  const CheckpointInfo theirs = info_of_scans();
  EXPECT_TRUE(differences(theirs, theirs).empty());
  struct Case {
    std::function<void(CheckpointInfo&)> change;
    std::string says;
  };
  const std::vector<Case> cases{
      {[](auto& info) { info.training.global_batch += 1; }, "the global batch"},
      {[](auto& info) { info.training.clip_norm = std::nullopt; }, "the clip norm 1.5"},
      {[](auto& info) { info.training.optimizer = Optimizer::SgdMomentum; }, "the optimizer adamw"},
      {[](auto& info) { info.training.precision = Precision::Bfloat16; }, "the precision float32"},
      {[](auto& info) { info.training.gradient_sum = GradientSum::Wide; }, "the gradient sum plain"},
      {[](auto& info) { info.seed = 5; }, "the seed"},
      {[](auto& info) { info.run->micro_batches = 2; }, "micro-batches per step: 4"},
      {[](auto& info) { info.run->update.learning_rate.base = 0.02; }, "the learning rate 0.01"},
      {[](auto& info) { info.run->update.learning_rate.warmup_steps = 0; }, "steps of warm-up: 7"},
      {[](auto& info) { info.run->update.learning_rate.rule = LearningRateRule::Constant; }, "the schedule cosine"},
      {[](auto& info) { info.run->update.weight_decay = 0.0; }, "the weight decay 0.0001"},
      {[](auto& info) { info.run->steps = 91; }, "a cosine schedule of steps: 90"},
      {[](auto& info) { info.run->samples = "scans"; }, "training samples: augmented scans"},
      {[](auto& info) { replace_in(info.data, R"("NC","AD")", R"("AD","NC")"); }, "classes NC,AD"},
      {[](auto& info) { replace_in(info.data, "[16,16,16]", "[16,16,18]"); }, "scans prepared to 16x16x16"},
      {[](auto& info) { replace_in(info.data, "aa\"", "ab\""); }, "other scans of the people trained on"},
      {[](auto& info) {
         replace_in(info.data, R"("sub-1","sub-2"],"validation":["sub-3"])",
                    R"("sub-3","sub-2"],"validation":["sub-1"])");
       },
       "2 differ: sub-1 in train, here validation; sub-3 in validation, here train"},
      {[](auto& info) { replace_in(info.data, R"("sub-4")", R"("sub-4","sub-5")"); },
       "1 differ: sub-5 in no part, here test"},
  };
  for (const Case& one : cases) {
    CheckpointInfo ours = theirs;
    one.change(ours);
    const std::vector<Fault> faults = differences(theirs, ours);
    ASSERT_EQ(faults.size(), 1U) << one.says;
    EXPECT_EQ(faults[0].where, "ckpt/step-000003.json");
    EXPECT_NE(faults[0].seen.find(one.says), std::string::npos) << faults[0].seen;
    EXPECT_FALSE(faults[0].allowed.empty());
  }
}

TEST(ResumeCheck, WhatChangesNoStepThatIsDoneMayDiffer) {
  CheckpointInfo theirs = info_of_scans();
  // AdamW has no momentum, and a cosine no steps between changes.
  CheckpointInfo ours = theirs;
  ours.run->update.momentum = 0.1;
  ours.run->update.learning_rate.epochs_per_step = 5;
  ours.run->update.learning_rate.factor = 0.9;
  EXPECT_TRUE(differences(theirs, ours).empty());
  // The length, but for a cosine.
  for (const LearningRateRule rule : {LearningRateRule::Constant, LearningRateRule::Step}) {
    theirs.run->update.learning_rate.rule = rule;
    ours = theirs;
    ours.run->steps = 1000;
    EXPECT_TRUE(differences(theirs, ours).empty());
  }
  // The last rule was Step, whose factor counts; so does SGD's momentum.
  ours.run->update.learning_rate.factor = 0.9;
  ours.run->update.learning_rate.epochs_per_step = 5;
  EXPECT_EQ(differences(theirs, ours).size(), 2U);
  theirs.training.optimizer = Optimizer::SgdMomentum;
  ours = theirs;
  ours.run->update.momentum = 0.1;
  EXPECT_EQ(differences(theirs, ours).size(), 1U);
}

TEST(ResumeCheck, ACheckpointThatDoesNotSayHowItWasTrainedIsRefused) {
  CheckpointInfo theirs = info_at(3);
  theirs.run.reset();
  const CheckpointInfo again = parse_checkpoint(to_json_text(theirs), "old.json");
  EXPECT_FALSE(again.run.has_value());
  const std::vector<Fault> faults = differences(again, info_at(3));
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_NE(faults[0].seen.find("no field \"run\""), std::string::npos) << faults[0].seen;
}

/// Two linear layers, 0 and 1e30, -1e30 for the classes: the output is 0 and the loss ln 2, but the gradient of the
/// first is (1e30 x 0.5 + 1e30 x 0.5) x 1e10.
class InfiniteGradient : public testing::Test {
 protected:
  InfiniteGradient() {
    write_text(folder_.file("network.json"), R"({"schema": "gabra/network/1", "name": "steep", "layers": [
      {"name": "input", "kind": "input", "shape": [4]},
      {"name": "a", "kind": "linear", "inputs": ["input"], "out_features": 4, "bias": false},
      {"name": "b", "kind": "linear", "inputs": ["a"], "out_features": 2, "bias": false}]})");
    const std::vector<NamedTensor> weights{{"a.weight", at::zeros({4, 4})},
                                           {"b.weight", at::cat({at::full({1, 4}, 1e30), at::full({1, 4}, -1e30)})}};
    (void)write_tensors(folder_.file("weights.pt"), weights);
    const std::vector<NamedTensor> batch{{"data", at::full({4, 4}, 1e10)}, {"target", at::zeros({4}, at::kLong)}};
    (void)write_tensors(folder_.file("batch.pt"), batch);
  }
  std::string stopped_training(const std::string& more) {
    const auto run = [&](const std::string& line, int status) {
      const test::Outcome outcome = test::run_gabra(test::split_words(line), folder_.path());
      EXPECT_EQ(outcome.status, status) << outcome.err;
      return outcome.err;
    };
    (void)run(
        "optimize --network network.json --cluster workstation-cpu --global-batch 4 --planner data-parallel "
        "-o plan.json --quiet " +
            more,
        0);
    std::string err =
        run("train --plan plan.json --batch-file batch.pt --weights weights.pt --steps 1 --checkpoint-dir ckpt", 3);
    std::error_code error;
    EXPECT_FALSE(std::filesystem::exists(folder_.file("ckpt/step-000001.pt"), error));
    return err;
  }
  TemporaryFolder folder_;
};

TEST_F(InfiniteGradient, LeavesNoCheckpoint) {
  const std::string err = stopped_training("");
  EXPECT_NE(err.find("\"a.weight\" has values that are no finite numbers after step 1"), std::string::npos) << err;
}

TEST_F(InfiniteGradient, IsSeenWhenItIsClipped) {
  const std::string err = stopped_training("--clip-norm 1");
  EXPECT_NE(err.find("the norm of the gradient is infinite in step 1"), std::string::npos) << err;
}

TEST(MatchWeights, ByNameThenInOrder) {
  const std::vector<StateEntry> state{{"a.conv.weight", {2, 1}, true}, {"a.bn.weight", {2}, true},
                                      {"a.bn.bias", {2}, true},        {"a.bn.running_mean", {2}, false},
                                      {"t.q.weight", {3}, true},       {"t.gamma", {1}, true}};
  const auto tensor = [](const std::vector<std::int64_t>& shape, double value) { return at::full(shape, value); };
  // PyTorch's own names and order: a module's own parameters before those of its parts.
  std::vector<NamedTensor> theirs{{"0.0.weight", tensor({2, 1}, 1)},
                                  {"0.1.weight", tensor({2}, 2)},
                                  {"0.1.bias", tensor({2}, 3)},
                                  {"0.1.running_mean", tensor({2}, 4)},
                                  {"0.1.num_batches_tracked", at::scalar_tensor(7)},
                                  {"1.gamma", tensor({1}, 5)},
                                  {"1.query.weight", tensor({3}, 6)}};
  const auto matched = match_weights(theirs, state, "w.pt");
  ASSERT_EQ(matched.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(matched[i].name, state[i].name);
  EXPECT_EQ(matched[4].tensor[0].item<double>(), 6.0);
  EXPECT_EQ(matched[5].tensor[0].item<double>(), 5.0);
  // Our own names in any order, wrapped.
  std::vector<NamedTensor> ours;
  for (const StateEntry& entry : state) ours.push_back({"module." + entry.name, at::ones(entry.shape)});
  std::reverse(ours.begin(), ours.end());
  EXPECT_EQ(match_weights(ours, state, "w.pt").size(), 6U);
  theirs[1].tensor = tensor({3}, 2);
  try {
    (void)match_weights(theirs, state, "w.pt");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().size(), 1U);
    EXPECT_NE(std::string(error.what()).find("another network"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gabra::exec
