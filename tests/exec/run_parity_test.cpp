// SPDX-License-Identifier: MIT
// Random plans of small networks on 1 to 4 ranks against training in one process: losses, parameters, running
// statistics; with wide sums of gradients, in float32, the same bits. mpirun -np 4 run_parity_test FILE writes what was
// measured, stream by stream, for run_timeline_test; mpirun -np N run_parity_test --cuda runs the plans on N GPUs,
// devices counted modulo N. Without them it is skipped (status 77).
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/cuda_device.hpp"
#include "gabra/exec/fake_communicator.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/exec/nccl_communicator.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "support/plan_runner.hpp"
#include "support/random_cases.hpp"
#include "support/reference_trainer.hpp"
#include "support/stream_lines.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <set>

namespace gabra::exec {
namespace {

constexpr std::int64_t kSteps = 3;
constexpr std::uint64_t kModelSeed = 5;

/// How the ranks compute: on CPU cores, or each on the GPU of its local rank.
struct Ranks {
  const MpiWorld& world;
  bool is_cuda = false;

  [[nodiscard]] c10::Device torch_device() const {
    if (!is_cuda) return c10::Device(c10::DeviceType::CPU);
    return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(world.local_rank())};
  }
  [[nodiscard]] std::unique_ptr<Communicator> communicator() const {
#ifdef GABRA_WITH_CUDA
    if (is_cuda) return make_nccl_communicator(world, {.index = world.local_rank(), .time_limit_s = 60.0});
#endif
    return make_mpi_communicator(world);
  }
  [[nodiscard]] std::unique_ptr<Device> device(const Program& program, Communicator& communicator) const {
#ifdef GABRA_WITH_CUDA
    if (is_cuda) return make_cuda_device(program, communicator, {.index = world.local_rank(), .time_limit_s = 60.0});
#endif
    return make_cpu_device(program, communicator, {.time_limit_s = 60.0});
  }
  /// On a GPU sums are in another order than on the CPU, and not always in the same.
  [[nodiscard]] double tolerance(bool is_float64) const {
    if (is_cuda) return is_float64 ? 1e-9 : 1e-3;
    return is_float64 ? 1e-12 : 1e-5;
  }
};

/// The plan with as many devices: each modulo `count`, once per stage.
Plan folded(Plan plan, int count) {
  for (Stage& stage : plan.stages) {
    std::vector<DeviceId> devices;
    for (const DeviceId device : stage.devices) {
      const DeviceId place(device.value() % count);
      if (std::find(devices.begin(), devices.end(), place) == devices.end()) devices.push_back(place);
    }
    stage.devices = devices;
  }
  return plan;
}

ModelOptions model_options(const SmallProblem& small, c10::Device device = c10::Device(c10::DeviceType::CPU)) {
  return {.dtype = small.is_float64 ? at::kDouble : at::kFloat, .device = device, .seed = kModelSeed};
}

UpdateOptions update_options(std::int64_t step) {
  return {.learning_rate = 0.01, .momentum = 0.9, .weight_decay = 0.001, .step = step};
}

/// What training in one process gives.
struct Expected {
  std::vector<double> losses;
  std::map<std::string, at::Tensor> state;  // float64
};

std::string compute_expected(const SmallProblem& small) {
  const RandomSource source(small.problem, small.micro_batches, kSteps);
  ReferenceTrainer trainer(small.problem.network, model_options(small), small.problem.training);
  std::vector<double> numbers;
  for (std::int64_t step = 0; step < kSteps; ++step)
    numbers.push_back(trainer.step(source.batch(step).inputs, source.batch(step).targets, update_options(step + 1)));
  for (const NamedTensor& entry : trainer.state()) {
    const at::Tensor flat = entry.tensor.to(at::kDouble).contiguous();
    numbers.insert(numbers.end(), flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel());
  }
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

Expected unpack_expected(const SmallProblem& small, const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  Expected expected{{numbers.begin(), numbers.begin() + kSteps}, {}};
  double* next = numbers.data() + kSteps;
  for (const StateEntry& entry : model_state(*small.problem.network)) {
    at::Tensor tensor = at::from_blob(next, entry.shape, at::kDouble).clone();
    next += tensor.numel();
    expected.state.emplace(entry.name, std::move(tensor));
  }
  return expected;
}

/// Attention's key bias shifts all scores of a row alike: its true gradient is zero, and AdamW divides by it. So it is
/// left out there: the second third of the transformer's "qkv.bias".
at::Tensor compared_part(const std::string& name, const at::Tensor& tensor, bool is_adamw) {
  if (!is_adamw || !name.ends_with("qkv.bias")) return tensor;
  const std::vector<at::Tensor> thirds = tensor.chunk(3);
  return at::cat({thirds[0], thirds[2]});
}

/// What one rank found in one run of a case.
struct Found {
  std::vector<double> losses;         // this rank's share
  std::vector<Timeline::Span> spans;  // of the last step
  std::map<InstructionId, std::int64_t> bytes;
  std::map<std::string, at::Tensor> state;  // copies, of every stage that it holds
};

Found run_case(const SmallProblem& small, const Program& program, const Ranks& ranks, Communicator& mpi) {
  mpi.prepare(program);
  Found found;
  if (static_cast<std::size_t>(mpi.rank()) >= program.devices.size()) {
    found.losses.assign(kSteps, 0.0);
    return found;
  }
  NotingCommunicator communicator(mpi);
  const auto device = ranks.device(program, communicator);
  RandomSource source(small.problem, small.micro_batches, kSteps);
  Interpreter interpreter(program, {.network = small.problem.network,
                                    .training = small.problem.training,
                                    .device = *device,
                                    .communicator = communicator,
                                    .batches = source,
                                    .model = model_options(small, ranks.torch_device()),
                                    .class_weights = {}});
  device->set_recording(true);
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    communicator.forget();
    StepResult result = interpreter.run_step(update_options(step));
    found.losses.push_back(result.loss);
    found.spans = std::move(result.spans);
  }
  found.bytes = communicator.bytes();
  for (const auto& [stage, module] : interpreter.modules()) {
    for (const NamedTensor& entry : module->parameters()) found.state[entry.name] = entry.tensor.cpu().clone();
    for (const NamedTensor& entry : module->buffers()) found.state[entry.name] = entry.tensor.cpu().clone();
  }
  return found;
}

class ParityTest {
 public:
  explicit ParityTest(const Ranks& ranks)
      : world_(ranks.world),
        ranks_(ranks),
        problems_(make_small_problems()),
        cases_(make_random_cases(problems_, kCaseSeed, kCaseCount)),
        communicator_(ranks.communicator()) {
    if (ranks.is_cuda)
      for (RandomCase& one : cases_) one.plan = folded(one.plan, world_.size());
  }

  int run(const std::string& file) {
    print_counts();
    make_expected();
    if (world_.rank() == 0 && !file.empty()) lines_.open(file);
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      note_ = fmt::format("case {}: {}", i, describe_case(problems_, cases_[i]));
      check_case(i);
      world_.barrier();
    }
    if (!ranks_.is_cuda) check_wide_sums();
    note_ = "all cases";
    if (world_.rank() == 0 && ranks_.is_cuda && world_.size() > 1) {
      fmt::print("{} sums ran beside a backward of their rank\n", overlaps_);
      if (overlaps_ == 0) fault("no sum ran beside a backward");
    }
    std::string own;
    for (const std::string& fault : faults_) own += fault + "\n";
    for (const std::string& text : world_.gather(own)) std::cout << text;
    const auto faults = static_cast<int>(world_.sum(static_cast<double>(faults_.size())));
    const double worst64 = world_.max(worst_[true]);
    const double worst32 = world_.max(worst_[false]);
    if (world_.rank() == 0)
      fmt::print("{} plans, also with wide sums, {} faults; largest difference {:.1e} in float64, {:.1e} in float32\n",
                 cases_.size(), faults, worst64, worst32);
    return faults == 0 ? 0 : 1;
  }

 private:
  void fault(const std::string& text) { faults_.push_back(fmt::format("rank {}, {}: {}", world_.rank(), note_, text)); }

  void print_counts() {
    for (const auto& [feature, count] : count_features(cases_)) {
      if (world_.rank() == 0) fmt::print("{:>4} plans with {}\n", count, feature);
      if (count < 5 && world_.rank() == 0) fault("too few plans with " + feature);
    }
  }

  /// Each problem by one of the ranks.
  void make_expected() {
    for (std::size_t p = 0; p < problems_.size(); ++p) {
      const int owner = static_cast<int>(p) % world_.size();
      computed_.push_back(owner == world_.rank() ? compute_expected(problems_[p]) : std::string());
    }
    for (std::size_t p = 0; p < problems_.size(); ++p)
      expected_.push_back(
          unpack_expected(problems_[p], world_.broadcast(computed_[p], static_cast<int>(p) % world_.size())));
  }

  void check_case(std::size_t i) {
    const SmallProblem& small = problems_[cases_[i].problem];
    const Program program = compile_or_die(small.problem, cases_[i].plan);
    const Found found = run_case(small, program, ranks_, *communicator_);
    compare(small, expected_[cases_[i].problem], found);
    if (i % 8 == 3 && !ranks_.is_cuda) compare_bits(found, run_case(small, program, ranks_, *communicator_));
    check_bytes(small, program, found);
    const Timeline timeline = gather_timeline(program, found.spans, world_);
    if (world_.rank() == 0) check_timeline(i, program, timeline);
  }

  /// All plans in float32, with gradients summed in float64, against the plan of one device: the same bits.
  void check_wide_sums() {
    std::map<std::size_t, Found> serial;  // by problem; every rank trains alone
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      SmallProblem small = problems_[cases_[i].problem];
      small.is_float64 = false;
      note_ = fmt::format("case {} with wide sums: {}", i, describe_case(problems_, cases_[i]));
      small.problem.training.gradient_sum = GradientSum::Wide;
      if (!serial.contains(cases_[i].problem)) serial[cases_[i].problem] = train_alone(small, cases_[i].plan);
      const Program program = compile_or_die(small.problem, cases_[i].plan);
      const Found found = run_case(small, program, ranks_, *communicator_);
      check_bytes(small, program, found);
      compare_with_serial(serial.at(cases_[i].problem), found);
      world_.barrier();
    }
  }

  /// All units on this rank, in the micro-batches of `plan`.
  Found train_alone(const SmallProblem& small, Plan plan) {
    const auto units = static_cast<std::int32_t>(small.problem.network->unit_count());
    plan.stages = {Stage{.first_unit = 0, .end_unit = units, .devices = {DeviceId(0)}}};
    const Program program = compile_or_die(small.problem, plan);
    FakeWorld alone(1);
    return run_case(small, program, ranks_, *alone.communicator(0));
  }

  void compare_with_serial(const Found& serial, const Found& found) {
    for (std::size_t step = 0; step < kSteps; ++step) {
      const double loss = world_.sum(found.losses[step]);
      // Those of micro-batches have the same bits; ranks add them in float64, in the plan's order.
      if (!(std::abs(loss - serial.losses[step]) <= 1e-14 * std::abs(loss)))
        fault(fmt::format("loss of step {} is {:.17g}, not {:.17g}", step, loss, serial.losses[step]));
    }
    for (const auto& [name, tensor] : found.state)
      if (!at::equal(tensor, serial.state.at(name))) fault(name + " has other bits");
  }

  void compare(const SmallProblem& small, const Expected& expected, const Found& found) {
    const double tolerance = ranks_.tolerance(small.is_float64);
    double& worst = worst_[small.is_float64];
    for (std::size_t step = 0; step < kSteps; ++step) {
      const double loss = world_.sum(found.losses[step]);
      const double difference = std::abs(loss - expected.losses[step]) / std::abs(expected.losses[step]);
      worst = std::max(worst, difference);
      if (!(difference <= tolerance))
        fault(fmt::format("loss of step {} is {}, not {}", step, loss, expected.losses[step]));
    }
    for (const auto& [name, tensor] : found.state) {
      const bool is_adamw = small.problem.training.optimizer == Optimizer::AdamW;
      const double difference = relative_difference(compared_part(name, tensor, is_adamw),
                                                    compared_part(name, expected.state.at(name), is_adamw));
      worst = std::max(worst, difference);
      if (!(difference <= tolerance)) fault(fmt::format("{} differs by {:.2e}", name, difference));
    }
  }

  void compare_bits(const Found& first, const Found& second) {
    if (first.losses != second.losses) fault("a repeat has other losses");
    for (const auto& [name, tensor] : first.state)
      if (!at::equal(tensor, second.state.at(name))) fault("a repeat has another " + name);
  }

  void check_bytes(const SmallProblem& small, const Program& program, const Found& found) {
    const std::int64_t factor = small.is_float64 ? 2 : 1;
    const auto rank = static_cast<std::size_t>(world_.rank());
    if (rank >= program.devices.size()) return;
    for (std::size_t j = 0; j < program.instructions.size(); ++j) {
      const Instruction& one = program.instructions[j];
      const bool moves = one.partner.is_valid() || one.collective >= 0;
      if (one.device != program.devices[rank] || !moves) continue;
      const auto moved = found.bytes.find(InstructionId(j));
      if (moved == found.bytes.end() || moved->second != factor * one.bytes.value())
        fault(describe(one) + " did not move the Program's bytes");
    }
  }

  /// Streams run one instruction after another; the rest is run_timeline_test's.
  void check_timeline(std::size_t i, const Program& program, const Timeline& timeline) {
    for (const StreamLine& line : stream_lines(program, timeline)) {
      for (std::size_t k = 1; k < line.instructions.size(); ++k)
        if (timeline.spans[line.instructions[k].index()].end < timeline.spans[line.instructions[k - 1].index()].end)
          fault("instructions of a stream end out of order");
      lines_ << "case " << i << " " << to_text(line) << "\n";
    }
    for (std::size_t a = 0; a < program.instructions.size(); ++a)
      for (std::size_t b = 0; b < program.instructions.size(); ++b)
        if (program.instructions[a].opcode == Opcode::AllReduce && program.instructions[b].opcode == Opcode::Backward &&
            program.instructions[a].device == program.instructions[b].device)
          overlaps_ += std::min(timeline.spans[a].end, timeline.spans[b].end) >
                       std::max(timeline.spans[a].begin, timeline.spans[b].begin);
  }

  const MpiWorld& world_;
  const Ranks ranks_;
  std::vector<SmallProblem> problems_;
  std::vector<RandomCase> cases_;
  std::unique_ptr<Communicator> communicator_;
  std::vector<std::string> computed_;
  std::vector<Expected> expected_;
  std::vector<std::string> faults_;
  std::map<bool, double> worst_;  // difference, by is_float64
  int overlaps_ = 0;
  std::string note_ = "counts";
  std::ofstream lines_;
};

}  // namespace
}  // namespace gabra::exec

namespace {

constexpr int kSkipped = 77;

int run(const gabra::exec::MpiWorld& world, const std::string& argument) {
  if (argument != "--cuda") return gabra::exec::ParityTest({world}).run(argument);
  int gpus = 0;
#ifdef GABRA_WITH_CUDA
  gpus = gabra::exec::cuda_device_count();
#endif
  if (gpus < world.size()) {
    if (world.rank() == 0) fmt::print("SKIPPED: {} GPUs are needed, {} are here\n", world.size(), gpus);
    world.barrier();
    return kSkipped;
  }
  return gabra::exec::ParityTest({world, true}).run("");
}

}  // namespace

int main(int argc, char** argv) {
  const gabra::exec::MpiWorld world(argc, argv);
  gabra::exec::TensorMemory::install();
  try {
    if (argc != 2) throw gabra::Error("run_parity_test FILE|--cuda");
    return run(world, argv[1]);
  } catch (const std::exception& error) {
    std::cerr << "rank " << world.rank() << ": " << error.what() << std::endl;
    gabra::exec::MpiWorld::abort(1);
  }
}
