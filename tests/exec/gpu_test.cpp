// SPDX-License-Identifier: MIT
// Plans whose stages share one GPU, against serial training on the CPU. Skipped, visibly, where there is no GPU.
#include "gabra/exec/cuda_device.hpp"
#include "gabra/exec/fake_communicator.hpp"
#include "gabra/exec/interpreter.hpp"
#include "support/plan_runner.hpp"
#include "support/random_cases.hpp"
#include "support/reference_trainer.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace gabra::exec {
namespace {

constexpr std::int64_t kSteps = 3;
constexpr std::uint64_t kModelSeed = 5;

/// The same cuts, order and recomputation with every stage on the only device, next to each other or not.
Plan on_one_device(Plan plan) {
  for (Stage& stage : plan.stages) stage.devices = {DeviceId(0)};
  return plan;
}

UpdateOptions update_options(std::int64_t step) {
  return {.learning_rate = 0.01, .momentum = 0.9, .weight_decay = 0.001, .step = step};
}

class SharedGpu : public testing::Test {
 protected:
  void SetUp() override {
#ifdef GABRA_WITH_CUDA
    if (cuda_device_count() == 0) GTEST_SKIP() << "no GPU here";
#else
    GTEST_SKIP() << "built with GABRA_WITH_CUDA=OFF";
#endif
  }
};

#ifdef GABRA_WITH_CUDA

/// Largest relative difference of a parameter or running statistic after kSteps steps of `one` on the GPU. Attention's
/// biases of keys are left out: their true gradient is zero.
double largest_difference(const SmallProblem& small, const Plan& plan, at::ScalarType dtype) {
  const Program program = compile_or_die(small.problem, plan);
  RandomSource source(small.problem, small.micro_batches, kSteps);
  const ModelOptions reference_options{.dtype = at::kDouble, .seed = kModelSeed};
  ReferenceTrainer reference(small.problem.network, reference_options, small.problem.training);
  FakeWorld world(1);
  const auto communicator = world.communicator(0);
  const auto device = make_cuda_device(program, *communicator);
  const ModelOptions options{.dtype = dtype, .device = device->torch_device(), .seed = kModelSeed};
  Interpreter interpreter(program,
                          {small.problem.network, small.problem.training, *device, *communicator, source, options, {}});
  for (std::int64_t step = 0; step < kSteps; ++step) {
    reference.step(source.batch(step).inputs, source.batch(step).targets, update_options(step + 1));
    interpreter.run_step(update_options(step + 1));
  }
  std::map<std::string, at::Tensor> expected;
  for (NamedTensor& entry : reference.state()) expected.emplace(entry.name, entry.tensor);
  double largest = 0.0;
  for (const auto& [stage, module] : interpreter.modules())
    for (const auto& entries : {module->parameters(), module->buffers()})
      for (const NamedTensor& entry : entries)
        if (!entry.name.ends_with("k.bias") && !entry.name.ends_with("qkv.bias"))
          largest = std::max(largest, relative_difference(entry.tensor.cpu(), expected.at(entry.name)));
  return largest;
}

TEST_F(SharedGpu, PlansEqualSerialTraining) {
  const std::vector<SmallProblem> problems = make_small_problems();
  const std::vector<RandomCase> cases = make_random_cases(problems, kCaseSeed, 24);
  for (const RandomCase& one : cases) {
    const SmallProblem& small = problems[one.problem];
    if (small.problem.training.optimizer == Optimizer::AdamW) continue;  // divides by gradients that are nearly zero
    EXPECT_LT(largest_difference(small, on_one_device(one.plan), at::kDouble), 1e-10) << describe_case(problems, one);
    EXPECT_LT(largest_difference(small, on_one_device(one.plan), at::kFloat), 1e-3) << describe_case(problems, one);
  }
}

#else

TEST_F(SharedGpu, PlansEqualSerialTraining) {}

#endif

}  // namespace
}  // namespace gabra::exec
