// SPDX-License-Identifier: MIT
// Sums over MPI ranks: exact on whole numbers, the same bits on all members and in every repeat; and hidden behind the
// backward of earlier layers. mpirun -np 4 run_collective_test.
#include "gabra/cluster/presets.hpp"
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/network/zoo.hpp"
#include "support/plan_runner.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <thread>

namespace gabra::exec {
namespace {

/// Collectives over ranks 0 and 1, over 3, 1 and 0 in that order, and over all.
Program collective_program(int ranks) {
  Program program;
  for (int r = 0; r < ranks; ++r) program.devices.emplace_back(r);
  for (const std::vector<int>& members : {std::vector<int>{0, 1}, {3, 1, 0}, {0, 1, 2, 3}}) {
    Collective collective;
    for (const int member : members) collective.devices.emplace_back(member);
    program.collectives.push_back(collective);
  }
  return program;
}

class CollectiveTest {
 public:
  explicit CollectiveTest(const MpiWorld& world) : world_(world), communicator_(make_mpi_communicator(world)) {}

  int run() {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) check_sums(type);
    check_in_flight_together();
    check_overlap();
    for (const std::string& text : world_.gather(faults_)) std::cout << text;
    const auto faults = static_cast<int>(world_.sum(faults_.empty() ? 0.0 : 1.0));
    if (world_.rank() == 0) fmt::print("{} sums; {} ranks with faults\n", sums_, faults);
    return faults == 0 ? 0 : 1;
  }

 private:
  void expect(bool holds, const std::string& what) {
    if (!holds) faults_ += fmt::format("rank {}: {}\n", world_.rank(), what);
  }

  [[nodiscard]] bool is_member(const Collective& collective) const {
    return std::count(collective.devices.begin(), collective.devices.end(), DeviceId(world_.rank())) > 0;
  }

  void sum(std::int32_t collective, const at::Tensor& tensor) {
    const auto pending = communicator_->start({InstructionId(0), Opcode::AllReduce, {}, collective, tensor});
    while (!pending->test()) std::this_thread::yield();
    ++sums_;
  }

  void check_sums(at::ScalarType type) {
    const Program program = collective_program(world_.size());
    communicator_->prepare(program);
    // About the limits of a message, a chunk, a slice: one element, and one more or less.
    for (const std::int64_t count : {1, 3, 1000, 4096, 8192, 8193, 65535, 65536, 262144, 1000003})
      for (std::size_t c = 0; c < program.collectives.size(); ++c) {
        const Collective& collective = program.collectives[c];
        if (is_member(collective)) check_sum(collective, static_cast<std::int32_t>(c), count, type);
      }
    world_.barrier();
  }

  void check_sum(const Collective& collective, std::int32_t index, std::int64_t count, at::ScalarType type) {
    const std::string what = fmt::format("collective {} of {} {}", index, count, c10::toString(type));
    // Whole numbers that even bfloat16 adds exactly: r + 1 plus the position modulo 8.
    const at::Tensor position = at::arange(count).remainder(8);
    at::Tensor whole = (position + (world_.rank() + 1)).to(type);
    sum(index, whole);
    at::Tensor expected = position * static_cast<std::int64_t>(collective.devices.size());
    for (const DeviceId device : collective.devices) expected.add_(device.value() + 1);
    expect(at::equal(whole, expected.to(type)), what + " is not exact");

    const at::Generator generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(world_.rank()) + 1);
    const at::Tensor values = at::randn({count}, generator, at::kDouble).to(type);
    const at::Tensor first = values.clone();
    const at::Tensor second = values.clone();
    sum(index, first);
    sum(index, second);
    expect(at::equal(first, second), what + " changes from run to run");
    keep_digest(index, first);
  }

  /// Members compare bits: the digest of a member, summed over n members, is n times its own.
  void keep_digest(std::int32_t index, const at::Tensor& tensor) {
    const at::Tensor bytes = tensor.view(at::kByte).to(at::kLong);
    const at::Tensor weights = at::arange(bytes.numel()).remainder(251).add(1);
    const at::Tensor own = (bytes * weights).sum().to(at::kDouble).view({1});
    const at::Tensor all = own.clone();
    sum(index, all);
    const auto members = static_cast<double>(
        collective_program(world_.size()).collectives[static_cast<std::size_t>(index)].devices.size());
    expect(all.item<double>() == members * own.item<double>(), "members have different bits");
  }

  /// Two collectives at once, of different groups, and messages of one pair in order.
  void check_in_flight_together() {
    const Program program = collective_program(world_.size());
    communicator_->prepare(program);
    const at::Tensor a = at::full({500000}, 1.0);
    const at::Tensor b = at::full({300000}, 10.0);
    std::vector<std::unique_ptr<Communicator::Pending>> pending;
    if (world_.rank() < 2) pending.push_back(communicator_->start({InstructionId(0), Opcode::AllReduce, {}, 0, a}));
    pending.push_back(communicator_->start({InstructionId(1), Opcode::AllReduce, {}, 2, b}));
    std::vector<at::Tensor> messages;
    if (world_.rank() >= 2)
      for (int i = 0; i < 3; ++i) {
        messages.push_back(world_.rank() == 2 ? at::full({100000 + i}, static_cast<double>(i))
                                              : at::empty({100000 + i}));
        const Opcode opcode = world_.rank() == 2 ? Opcode::Send : Opcode::Receive;
        pending.push_back(
            communicator_->start({InstructionId(2 + i), opcode, DeviceId(5 - world_.rank()), -1, messages.back()}));
      }
    while (!std::all_of(pending.begin(), pending.end(),
                        [](auto& one) { return one == nullptr || (one->test() && (one.reset(), true)); }))
      std::this_thread::yield();
    if (world_.rank() < 2) expect(a.eq(2.0).all().item<bool>(), "the sum of two is wrong");
    expect(b.eq(40.0).all().item<bool>(), "the sum of four is wrong");
    for (std::size_t i = 0; i < messages.size(); ++i)
      expect(messages[i].eq(static_cast<double>(i)).all().item<bool>(), "messages of a pair changed places");
    world_.barrier();
  }

  /// Data parallel on two ranks in several buckets: the first bucket's sum runs while earlier layers compute.
  void check_overlap() {
    Problem problem;
    problem.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-18:width=16,input=1x32x32x32"));
    problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("workstation-cpu"));
    problem.training.global_batch = 8;
    Plan plan;
    plan.micro_batches = 2;
    plan.bucket = Bytes(1000000);
    plan.stages = {{0, static_cast<std::int32_t>(problem.network->unit_count()), {DeviceId(0), DeviceId(1)}, {}}};
    const Program program = compile_or_die(problem, plan);
    communicator_->prepare(program);
    std::vector<Timeline::Span> spans;
    if (world_.rank() < 2) {
      const auto device = make_cpu_device(program, *communicator_, {.time_limit_s = 60.0});
      RandomSource source(problem, plan.micro_batches, 2);
      Interpreter interpreter(program, {.network = problem.network,
                                        .training = problem.training,
                                        .device = *device,
                                        .communicator = *communicator_,
                                        .batches = source,
                                        .model = {},
                                        .class_weights = {}});
      device->set_recording(true);
      for (int step = 1; step <= 2; ++step) spans = interpreter.run_step({.step = step}).spans;
    }
    const Timeline timeline = gather_timeline(program, spans, world_);
    if (world_.rank() == 0) check_hidden(program, timeline);
  }

  void check_hidden(const Program& program, const Timeline& timeline) {
    int buckets = 0;
    int hidden_buckets = 0;
    for (std::size_t i = 0; i < program.instructions.size(); ++i) {
      const Instruction& sum = program.instructions[i];
      if (sum.opcode != Opcode::AllReduce) continue;
      ++buckets;
      const Timeline::Span span = timeline.spans[i];
      double hidden = 0.0;
      for (std::size_t j = 0; j < program.instructions.size(); ++j) {
        const Instruction& other = program.instructions[j];
        if (other.opcode != Opcode::Backward || other.device != sum.device) continue;
        const Timeline::Span backward = timeline.spans[j];
        hidden += std::max(0.0, (std::min(span.end, backward.end) - std::max(span.begin, backward.begin)).value());
      }
      const double exposed = (span.end - span.begin).value() - hidden;
      if (hidden > 0.0 && exposed < (span.end - span.begin).value()) ++hidden_buckets;
      fmt::print("{} on rank {}: {:.2f} ms, {:.2f} ms of it beside a backward\n", describe(sum), sum.device.value(),
                 1e3 * (span.end - span.begin).value(), 1e3 * hidden);
    }
    expect(buckets >= 6, "too few buckets");
    expect(hidden_buckets > 0, "no bucket was reduced beside a backward");
  }

  const MpiWorld& world_;
  std::unique_ptr<Communicator> communicator_;
  std::string faults_;
  int sums_ = 0;
};

}  // namespace
}  // namespace gabra::exec

int main(int argc, char** argv) {
  const gabra::exec::MpiWorld world(argc, argv);
  try {
    if (world.size() != 4) throw gabra::Error("mpirun -np 4 run_collective_test");
    return gabra::exec::CollectiveTest(world).run();
  } catch (const std::exception& error) {
    std::cerr << "rank " << world.rank() << ": " << error.what() << std::endl;
    gabra::exec::MpiWorld::abort(1);
  }
}
