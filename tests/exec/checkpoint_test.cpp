// SPDX-License-Identifier: MIT
#include "gabra/exec/checkpoint.hpp"
#include "../cli/command.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/pickle.hpp"
#include "gabra/network/zoo.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
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
  info.data = R"({"classes":["NC","AD"]})";
  return info;
}

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
  EXPECT_FALSE(checkpoints.read_newest().has_value());
  for (const std::int64_t step : {1, 2, 3}) checkpoints.write(info_at(step), some_tensors());
  checkpoints.write_best(info_at(2), some_tensors());
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"best.json", "best.pt", "step-000002.json", "step-000002.pt",
                                                      "step-000003.json", "step-000003.pt"}));
  const auto newest = checkpoints.read_newest();
  ASSERT_TRUE(newest.has_value());
  const CheckpointInfo& info = newest->info;
  EXPECT_EQ(info.step, 3);
  EXPECT_EQ(info.step_of_epoch, 3);
  EXPECT_EQ(info.seed, 0xFFFFFFFFFFFFFFFFULL);
  EXPECT_EQ(info.network->fingerprint(), info_at(1).network->fingerprint());
  EXPECT_EQ(info.training.clip_norm, 1.5);
  EXPECT_EQ(info.training.optimizer, Optimizer::AdamW);
  EXPECT_EQ(info.data, R"({"classes":["NC","AD"]})");
  expect_equal(newest->tensors, some_tensors());
  // A folder means the best, a file itself.
  EXPECT_EQ(read_checkpoint(folder.path()).info.step, 2);
  EXPECT_EQ(read_checkpoint(folder.file("step-000003.pt")).info.step, 3);
  EXPECT_THROW((void)read_checkpoint(folder.file("step-000001.pt")), InputError);
}

TEST(CheckpointFolder, ADamagedNewestIsPassedOver) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 5);
  for (const std::int64_t step : {1, 2, 3, 4}) checkpoints.write(info_at(step), some_tensors());
  std::string text = read_text(folder.file("step-000004.pt"));
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
  write_text(folder.file("step-000004.pt"), text);
  write_text(folder.file("step-000003.json"), "{");
  testing::internal::CaptureStderr();
  const auto newest = checkpoints.read_newest();
  const std::string report = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->info.step, 2);
  EXPECT_NE(report.find("step-000004.pt: saw the checksum"), std::string::npos) << report;
  EXPECT_NE(report.find("step-000003.json"), std::string::npos) << report;
  std::filesystem::resize_file(folder.file("step-000002.pt"), 100);
  std::filesystem::remove(folder.file("step-000001.pt"));
  testing::internal::CaptureStderr();
  EXPECT_THROW((void)checkpoints.read_newest(), InputError);
  (void)testing::internal::GetCapturedStderr();
}

TEST(CheckpointFolder, AFullDiskIsAnErrorAndLosesNothing) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path(), 1);
  checkpoints.write(info_at(1), some_tensors());
  // No file may be longer than this: as on a full disk, a write fails halfway.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto former = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 2000;
  setrlimit(RLIMIT_FSIZE, &limit);
  std::string message;
  try {
    checkpoints.write(info_at(2), some_tensors());
  } catch (const Error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, former);
  EXPECT_NE(message.find("step-000002.pt could not be written: File too large"), std::string::npos) << message;
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"step-000001.json", "step-000001.pt"}));
  EXPECT_EQ(checkpoints.read_newest()->info.step, 1);
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
  EXPECT_EQ(parse_checkpoint(to_json_text(info), "again").data, info.data);
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
