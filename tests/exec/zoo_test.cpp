// SPDX-License-Identifier: MIT
// Every network of the zoo trains, in the memory that the Program predicts.
#include "gabra/network/zoo.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/fake_communicator.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/plan/compiler.hpp"
#include "support/random_batch.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace gabra::exec {
namespace {

struct ZooCase {
  const char* network;
  std::int64_t global_batch;
  std::int64_t micro_batches;
};
std::ostream& operator<<(std::ostream& out, const ZooCase& zoo_case) { return out << zoo_case.network; }

/// One of each entry, at sizes that take seconds at most.
constexpr std::array kCases{ZooCase{"3d-resattnet-18:width=16,input=1x48x48x48", 4, 2},
                            ZooCase{"3d-resattnet-34:width=8,input=1x32x32x32", 4, 2},
                            ZooCase{"3d-resnet-18:width=16,input=1x64x64x64", 4, 2},
                            ZooCase{"3d-resnet-34:width=8,input=1x32x32x32", 4, 2},
                            ZooCase{"alexnet:width=16,input=3x64x64,classes=10", 8, 2},
                            ZooCase{"gpt:hidden=128,layers=2,heads=4,sequence=128,vocabulary=1000", 4, 2},
                            ZooCase{"resnet-101:width=8,input=3x64x64,classes=10", 4, 2},
                            ZooCase{"resnet-18:width=16,input=3x64x64,classes=10", 8, 2},
                            ZooCase{"resnet-50:width=8,input=3x64x64,classes=10", 4, 2},
                            ZooCase{"unet-3d:width=8,input=1x32x32x32", 2, 2},
                            ZooCase{"vgg-16:width=8,input=3x64x64,classes=10", 8, 2}};

/// The same samples in every step.
class FixedBatches final : public BatchSource {
 public:
  explicit FixedBatches(RandomBatch batch) : batch_(std::move(batch)) {}
  std::vector<at::Tensor> inputs(std::int64_t, std::int64_t micro_batch) override {
    return batch_.inputs.at(static_cast<std::size_t>(micro_batch));
  }
  at::Tensor target(std::int64_t, std::int64_t micro_batch) override {
    return batch_.targets.at(static_cast<std::size_t>(micro_batch));
  }

 private:
  RandomBatch batch_;
};

/// Settings that change what a device holds.
struct SettingsCase {
  const char* name;
  TrainingSettings training;
};
std::ostream& operator<<(std::ostream& out, const SettingsCase& settings) { return out << settings.name; }

const std::array kSettings{
    SettingsCase{"plain", {}},
    SettingsCase{"wide", {4, Precision::Float32, Optimizer::SgdMomentum, {}, GradientSum::Wide}},
    SettingsCase{"clipped", {4, Precision::Float32, Optimizer::SgdMomentum, 1.0, GradientSum::Plain}},
    SettingsCase{"adamw", {4, Precision::Float32, Optimizer::AdamW, {}, GradientSum::Plain}},
    SettingsCase{"bfloat16", {4, Precision::Bfloat16, Optimizer::SgdMomentum, {}, GradientSum::Plain}},
    SettingsCase{"bfloat16_adamw_clipped_wide", {4, Precision::Bfloat16, Optimizer::AdamW, 1.0, GradientSum::Wide}}};

class ZooTraining : public testing::TestWithParam<std::tuple<ZooCase, SettingsCase>> {};

/// Six steps on one batch: the loss falls (where that does not depend on the learning rate's choice), and the peak is
/// what the Program says, whatever the number of threads.
void check_training(const ZooCase& zoo_case, int threads, const SettingsCase& settings) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  TensorMemory::install();
  at::set_num_threads(threads);
  Problem problem;
  problem.network = std::make_shared<Network>(make_zoo_network(zoo_case.network));
  problem.cluster = std::make_shared<Cluster>(make_preset_cluster("workstation-cpu"));
  problem.training = settings.training;
  problem.training.global_batch = zoo_case.global_batch;
  Plan plan;
  plan.micro_batches = zoo_case.micro_batches;
  plan.stages = {{0, static_cast<std::int32_t>(problem.network->unit_count()), {DeviceId(0)}}};
  Compiler compiler(problem);
  const auto compiled = compiler.compile(plan);
  const auto& program = std::get<Program>(compiled);
  FakeWorld world(1);
  const auto communicator = world.communicator(0);
  const auto device = make_cpu_device(program, *communicator);
  FixedBatches batches(
      make_random_batch(*problem.network, plan.micro_batches, zoo_case.global_batch / zoo_case.micro_batches, 1));
  communicator->prepare(program);
  const Bytes before = TensorMemory::in_use();
  Interpreter::Parts parts{problem.network, problem.training, *device, *communicator, batches, {}, {}};
  if (problem.training.precision == Precision::Bfloat16) parts.model.dtype = c10::ScalarType::BFloat16;
  Interpreter interpreter(program, std::move(parts));
  UpdateOptions update{.learning_rate = settings.training.optimizer == Optimizer::AdamW ? 0.001 : 0.01};
  const double first = interpreter.run_step(update).loss;
  device->reset_peak();
  double last = 0.0;
  for (update.step = 2; update.step <= 6; ++update.step) last = interpreter.run_step(update).loss;
  EXPECT_TRUE(std::isfinite(first));
  EXPECT_TRUE(std::isfinite(last));
  if (settings.training.optimizer == Optimizer::SgdMomentum && !settings.training.clip_norm) {
    EXPECT_LT(last, first);
  }
  const auto measured = static_cast<double>((device->peak_memory() - before).value());
  const auto predicted = static_cast<double>(program.peak_memory.at(0).value());
  testing::Test::RecordProperty("ratio", std::to_string(predicted / measured));
  EXPECT_NEAR(predicted / measured, 1.0, 0.1);
}

TEST_P(ZooTraining, LossFallsWithinThePredictedMemory) {
  check_training(std::get<ZooCase>(GetParam()), 1, std::get<SettingsCase>(GetParam()));
}

TEST(Zoo, MemoryDoesNotDependOnThreads) { check_training(kCases[0], 2, kSettings[0]); }

INSTANTIATE_TEST_SUITE_P(All, ZooTraining, testing::Combine(testing::ValuesIn(kCases), testing::ValuesIn(kSettings)),
                         [](const auto& tested) {
                           std::string name = std::get<ZooCase>(tested.param).network;
                           name.resize(name.find(':'));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name + "_" + std::get<SettingsCase>(tested.param).name;
                         });

TEST(Zoo, EveryEntryIsTrained) {
  std::set<std::string> trained;
  for (const ZooCase& zoo_case : kCases)
    trained.insert(std::string(zoo_case.network).substr(0, std::string(zoo_case.network).find(':')));
  for (const ZooEntry& entry : network_zoo()) EXPECT_EQ(trained.count(entry.name), 1U) << entry.name;
}

}  // namespace
}  // namespace gabra::exec
