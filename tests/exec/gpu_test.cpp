// SPDX-License-Identifier: MIT
// Plans whose stages share one GPU: against serial training on the CPU, without a wait of the host, in the predicted
// memory, with sums beside the backward. What a CPU can say runs there too; without a GPU the rest is skipped, visibly.
#include "gabra/cluster/presets.hpp"
#include "gabra/exec/fake_communicator.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/network/zoo.hpp"
#include "support/lone_device.hpp"
#include "support/lone_rank.hpp"
#include "support/plan_runner.hpp"
#include "support/random_cases.hpp"
#include "support/reference_trainer.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#ifdef GABRA_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

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

/// A network of the zoo as a problem on GPUs.
SmallProblem zoo_problem(const char* network, std::int64_t global_batch, std::int64_t micro_batches) {
  SmallProblem small{network, {}, micro_batches, false};
  small.problem.network = std::make_shared<const Network>(make_zoo_network(network));
  small.problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("dgx-a100"));
  small.problem.training.global_batch = global_batch;
  return small;
}

Plan one_stage(const SmallProblem& small, std::vector<DeviceId> devices = {DeviceId(0)}) {
  Plan plan;
  plan.micro_batches = small.micro_batches;
  plan.stages = {{0, static_cast<std::int32_t>(small.problem.network->unit_count()), std::move(devices)}};
  return plan;
}

class SharedDevice : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not_on(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
  }
  [[nodiscard]] bool is_cuda() const { return GetParam() == c10::DeviceType::CUDA; }
};

/// What is left to a GPU: other tests have the CPU's.
class OnGpu : public testing::Test {
 protected:
  static constexpr c10::DeviceType kType = c10::DeviceType::CUDA;
  void SetUp() override {
    if (const std::string reason = why_not_on(kType); !reason.empty()) GTEST_SKIP() << reason;
  }
};

std::map<std::string, at::Tensor> by_name(std::vector<NamedTensor> entries) {
  std::map<std::string, at::Tensor> result;
  for (NamedTensor& entry : entries) result.emplace(std::move(entry.name), std::move(entry.tensor));
  return result;
}

/// One rank that holds every stage of a plan.
class OneRank {
 public:
  OneRank(c10::DeviceType type, const SmallProblem& small, const Plan& plan, at::ScalarType dtype,
          at::Tensor class_weights = {})
      : program_(compile_or_die(small.problem, plan)),
        communicator_(world_.communicator(0)),
        device_(make_lone_device(type, program_, *communicator_)),
        strict_(*device_),
        source_(small.problem, plan.micro_batches, kSteps),
        interpreter_(program_, {small.problem.network,
                                small.problem.training,
                                strict_,
                                *communicator_,
                                source_,
                                {.dtype = dtype, .device = device_->torch_device(), .seed = kModelSeed},
                                std::move(class_weights)}) {
    communicator_->prepare(program_);
  }
  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] RandomSource& source() { return source_; }
  [[nodiscard]] Device& device() { return *device_; }
  [[nodiscard]] StrictDevice& strict() { return strict_; }
  double step(std::int64_t step) { return interpreter_.run_step(update_options(step)).loss; }

  /// Largest relative difference of a parameter or running statistic. Attention's biases of keys are left out: their
  /// true gradient is zero.
  [[nodiscard]] double largest_difference(const ReferenceTrainer& reference) {
    const std::map<std::string, at::Tensor> expected = by_name(reference.state());
    double largest = 0.0;
    for (const auto& [stage, module] : interpreter_.modules())
      for (const auto& entries : {module->parameters(), module->buffers()})
        for (const NamedTensor& entry : entries)
          if (!entry.name.ends_with("k.bias") && !entry.name.ends_with("qkv.bias"))
            largest = std::max(largest, relative_difference(entry.tensor.cpu(), expected.at(entry.name)));
    return largest;
  }
  /// bfloat16's float32 weights, on the CPU in float64.
  [[nodiscard]] std::map<std::string, at::Tensor> masters() {
    constexpr std::string_view kEnd = "/master";
    std::map<std::string, at::Tensor> result;
    for (const auto& [stage, module] : interpreter_.modules())
      for (const NamedTensor& entry : module->optimizer_state())
        if (entry.name.ends_with(kEnd))
          result.emplace(entry.name.substr(0, entry.name.size() - kEnd.size()), entry.tensor.cpu().to(at::kDouble));
    return result;
  }

 private:
  Program program_;
  FakeWorld world_{1};
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Device> device_;
  StrictDevice strict_;
  RandomSource source_;
  Interpreter interpreter_;
};

ReferenceTrainer make_reference(const SmallProblem& small) {
  return {small.problem.network, {.dtype = at::kDouble, .seed = kModelSeed}, small.problem.training};
}

double difference_after_steps(c10::DeviceType type, const SmallProblem& small, const Plan& plan, at::ScalarType dtype) {
  ReferenceTrainer reference = make_reference(small);
  OneRank rank(type, small, plan, dtype);
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    const RandomBatch& batch = rank.source().batch(step - 1);
    reference.step(batch.inputs, batch.targets, update_options(step));
    rank.step(step);
  }
  return rank.largest_difference(reference);
}

TEST_P(SharedDevice, PlansEqualSerialTraining) {
  const std::vector<SmallProblem> problems = make_small_problems();
  const std::vector<RandomCase> cases = make_random_cases(problems, kCaseSeed, is_cuda() ? 24 : 8);
  for (const RandomCase& one : cases) {
    const SmallProblem& small = problems[one.problem];
    if (small.problem.training.optimizer == Optimizer::AdamW) continue;  // divides by gradients that are nearly zero
    const Plan plan = on_one_device(one.plan);
    EXPECT_LT(difference_after_steps(GetParam(), small, plan, at::kDouble), 1e-10) << describe_case(problems, one);
    EXPECT_LT(difference_after_steps(GetParam(), small, plan, at::kFloat), 1e-3) << describe_case(problems, one);
  }
}

/// bfloat16 has 8 bits: after a few layers the weights still move in the same direction (an unrelated one is 1.4 away).
TEST_P(SharedDevice, BFloat16TrainsLikeFloat64) {
  for (const SmallProblem& small : make_small_problems()) {
    if (small.problem.training.optimizer == Optimizer::AdamW) continue;  // divides by gradients that are nearly zero
    SCOPED_TRACE(small.name);
    ReferenceTrainer reference = make_reference(small);
    OneRank rank(GetParam(), small, one_stage(small), at::kBFloat16);
    const std::map<std::string, at::Tensor> before = by_name(reference.state());
    for (std::int64_t step = 1; step <= kSteps; ++step) {
      const RandomBatch& batch = rank.source().batch(step - 1);
      const double expected = reference.step(batch.inputs, batch.targets, update_options(step));
      EXPECT_NEAR(rank.step(step), expected, 0.1 * expected);
    }
    const std::map<std::string, at::Tensor> after = by_name(reference.state());
    std::vector<at::Tensor> moved, expected;
    for (const auto& [name, master] : rank.masters()) {
      moved.push_back((master - before.at(name)).flatten());
      expected.push_back((after.at(name) - before.at(name)).flatten());
    }
    EXPECT_LT(relative_difference(at::cat(moved), at::cat(expected)), 0.8);
  }
}

/// Everything that a step may do: dropout, clipping, both optimizers, token ids, class weights, recomputation. The
/// first step is left out: cuDNN searches, and memory is taken from the driver.
TEST_P(SharedDevice, TheHostWaitsForNothingWithinAStep) {
  std::vector<SmallProblem> problems = make_small_problems();
  problems.push_back(zoo_problem("alexnet:width=16,input=3x64x64,classes=10", 4, 2));
  problems.push_back(zoo_problem("resnet-50:width=8,input=3x64x64,classes=10", 4, 2));
  problems.push_back(zoo_problem("vgg-16:width=8,input=3x64x64,classes=10", 4, 2));
  for (const SmallProblem& small : problems)
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(small.name + " " + c10::toString(dtype));
      Plan plan = one_stage(small);
      plan.stages.front().recompute = Recompute::ExceptLast;
      const Shape& output = small.problem.network->layers().back().output;
      const std::int64_t classes = output.size() == 2 ? output.back() : output.front();
      OneRank rank(GetParam(), small, plan, dtype, at::linspace(0.5, 1.5, classes, at::kFloat));
      rank.step(1);
      rank.strict().set_strict();
      for (std::int64_t step = 2; step <= kSteps; ++step) EXPECT_TRUE(std::isfinite(rank.step(step)));
    }
}

/// A sum of the first bucket that takes the GPU longer than the host takes to launch what follows, in the place of
/// NCCL's: the backward of the layers before goes on beside it, and so the sum is not all exposed.
TEST_F(OnGpu, ABucketIsReducedBesideTheBackward) {
  const SmallProblem small = zoo_problem("vgg-16:width=16,input=3x64x64,classes=10", 8, 2);
  Plan plan = one_stage(small, {DeviceId(0), DeviceId(1)});
  plan.bucket = Bytes(1 << 20);
  const Program program = compile_or_die(small.problem, plan);
  const at::Tensor matrix = at::ones({4096, 4096}, at::device(kType));
  LoneCommunicator communicator(program, 0, [&](const TransferRequest& request) {
    if (request.opcode != Opcode::AllReduce) return;
    for (int i = 0; i < 4; ++i) (void)at::mm(matrix, matrix);  // some 3 ms each
  });
  const auto device = make_lone_device(kType, program, communicator);
  RandomSource source(small.problem, plan.micro_batches, kSteps);
  Interpreter interpreter(program, {small.problem.network,
                                    small.problem.training,
                                    *device,
                                    communicator,
                                    source,
                                    {.device = device->torch_device()},
                                    {}});
  device->set_recording(true);
  std::vector<Timeline::Span> spans;
  for (std::int64_t step = 1; step <= 2; ++step) spans = interpreter.run_step(update_options(step)).spans;
  int overlaps = 0;
  for (std::size_t a = 0; a < spans.size(); ++a)
    for (std::size_t b = 0; b < spans.size(); ++b)
      if (program.instructions[a].opcode == Opcode::AllReduce && program.instructions[b].opcode == Opcode::Backward &&
          program.instructions[a].device == DeviceId(0) && program.instructions[b].device == DeviceId(0) &&
          program.instructions[b].segment > program.instructions[a].segment)
        overlaps += std::min(spans[a].end, spans[b].end) > std::max(spans[a].begin, spans[b].begin);
  EXPECT_GT(overlaps, 0);
}

#ifdef GABRA_WITH_CUDA
Bytes allocated_on_gpu() {
  set_cuda_arithmetic();  // whatever ran before
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(0);
  return Bytes(stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].current);
}
#else
Bytes allocated_on_gpu() { return Bytes(0); }
#endif

/// Of what the allocator reports, after a step that made cuDNN search.
TEST_F(OnGpu, MemoryIsPredicted) {
  for (const auto& [network, batch] : {std::pair{"3d-resattnet-18:width=32,input=1x96x112x96", 16},
                                       {"3d-resattnet-34:width=64,input=1x64x64x64", 32},
                                       {"unet-3d:width=16,input=1x64x64x64", 8},
                                       {"gpt:hidden=512,layers=8,heads=8,sequence=512,vocabulary=8000", 16},
                                       {"resnet-50:width=64,input=3x224x224", 64}})
    for (const Precision precision : {Precision::Float32, Precision::Bfloat16}) {
      SCOPED_TRACE(network);
      SmallProblem small = zoo_problem(network, batch, 2);
      small.problem.training.precision = precision;
      const Bytes before = allocated_on_gpu();
      OneRank rank(kType, small, one_stage(small), precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat);
      rank.step(1);
      rank.device().reset_peak();
      for (std::int64_t step = 2; step <= kSteps; ++step) rank.step(step);
      const Bytes measured = rank.device().peak_memory() - before;
      const Bytes base = rank.program().static_memory.at(0)[static_cast<std::size_t>(MemoryCategory::Base)];
      const Bytes predicted = rank.program().peak_memory.at(0) - base;  // the base is not the allocator's
      EXPECT_NEAR(static_cast<double>(predicted.value()) / static_cast<double>(measured.value()), 1.0, 0.1);
    }
}

INSTANTIATE_TEST_SUITE_P(On, SharedDevice, testing::Values(c10::DeviceType::CPU, c10::DeviceType::CUDA),
                         [](const auto& tested) { return c10::DeviceTypeName(tested.param, true); });

}  // namespace
}  // namespace gabra::exec
