// SPDX-License-Identifier: MIT
// A CPU device's order, overlap and faults, with ranks that are threads.
#include "gabra/exec/measured_timeline.hpp"
#include "support/plan_runner.hpp"
#include "support/random_cases.hpp"
#include "support/toy_problem.hpp"
#include "support/toy_rank.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace gabra::exec {
namespace {

using test::stage;

InstructionId find(const Program& program, Opcode opcode, int device, int m, int segment = -1) {
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& one = program.instructions[i];
    if (one.opcode == opcode && one.device == DeviceId(device) && (m < 0 || one.micro_batch == m) &&
        (segment < 0 || one.segment == segment))
      return InstructionId(i);
  }
  ADD_FAILURE() << "no such instruction";
  return {};
}

struct Toy {
  explicit Toy(std::vector<Stage> stages, std::int64_t micro_batches = 4, double limit_s = 30.0)
      : problem(test::toy_problem(
            test::equal_layers(4, {.forward_s = 1e-3, .backward_s = 2e-3, .output_bytes = 64, .parameter_bytes = 64}),
            {.devices = 4}, 8)) {
    Plan plan;
    plan.stages = std::move(stages);
    plan.micro_batches = micro_batches;
    plan.schedule = Schedule::GPipe;
    plan.bucket = Bytes(1);
    program = compile_or_die(problem, plan);
    world = std::make_unique<FakeWorld>(static_cast<int>(program.devices.size()));
    for (std::size_t r = 0; r < program.devices.size(); ++r)
      ranks.push_back(
          std::make_unique<ToyRank>(program, *world, static_cast<int>(r), CpuDeviceOptions{.time_limit_s = limit_s}));
  }
  ToyRank& rank(std::size_t r) { return *ranks[r]; }

  Problem problem;
  Program program;
  std::unique_ptr<FakeWorld> world;
  std::vector<std::unique_ptr<ToyRank>> ranks;
};

TEST(RunDevice, EveryStreamRunsInItsOrderAndAfterWhatItWaitsFor) {
  Toy toy({stage(0, 2, {0, 1}), stage(2, 3, {2}), stage(3, 4, {0, 2})});
  for (int step = 0; step < 3; ++step) {
    for (const std::string& error : run_all(toy.ranks)) ASSERT_EQ(error, "");
    for (std::size_t r = 0; r < 3; ++r) {
      std::map<StreamId, InstructionId> last;
      std::size_t own = 0;
      for (const Instruction& one : toy.program.instructions) own += one.device == toy.program.devices[r];
      EXPECT_EQ(toy.rank(r).begun().size(), own);
      for (const InstructionId id : toy.rank(r).begun()) {
        InstructionId& before = last[toy.program.instructions[id.index()].stream];
        EXPECT_LT(before, id);
        before = id;
      }
    }
    std::vector<std::vector<Timeline::Span>> spans;
    for (auto& rank : toy.ranks) spans.push_back(rank->device().spans());
    const Timeline timeline = merge_spans(toy.program, spans, std::vector<double>(3, 0.0));
    for (std::size_t i = 0; i < toy.program.instructions.size(); ++i)
      for (const InstructionId before : toy.program.predecessors.of(InstructionId(i)))
        EXPECT_LE(timeline.spans[before.index()].end, timeline.spans[i].end);
  }
}

TEST(RunDevice, TransfersBringWhatWasSentAndSumsCountEveryMemberOnce) {
  Toy toy({stage(0, 3, {0, 1, 3}), stage(3, 4, {2})});
  for (const std::string& error : run_all(toy.ranks)) ASSERT_EQ(error, "");
  for (std::size_t i = 0; i < toy.program.instructions.size(); ++i) {
    const Instruction& one = toy.program.instructions[i];
    const auto r = static_cast<std::size_t>(one.device.value());  // all four devices are used
    if (one.opcode != Opcode::Receive && one.opcode != Opcode::AllReduce) continue;
    const int expected = one.opcode == Opcode::Receive ? one.peer.value() + 1 : 1 + 2 + 4;
    EXPECT_EQ(toy.rank(r).results().at(InstructionId(i)), expected);
  }
}

TEST(RunDevice, ReceivesArePostedBeforeTheyAreNeeded) {
  Toy toy({stage(0, 2, {0}), stage(2, 4, {1})});
  const InstructionId second = find(toy.program, Opcode::Receive, 1, 1);
  const InstructionId forward = find(toy.program, Opcode::Forward, 1, 0);
  bool was_posted = false;
  toy.rank(1).compute = [&](InstructionId id) {
    // While it computes; by the service thread at the latest.
    for (int i = 0; id == forward && !was_posted && i < 10000; ++i) {
      was_posted = toy.rank(1).has_begun(second);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  for (const std::string& error : run_all(toy.ranks)) ASSERT_EQ(error, "");
  EXPECT_TRUE(was_posted);
}

TEST(RunDevice, SendsDoNotBlockComputation) {
  Toy toy({stage(0, 2, {0}), stage(2, 4, {1})});
  const InstructionId send = find(toy.program, Opcode::Send, 0, 0);
  const InstructionId next = find(toy.program, Opcode::Forward, 0, 1);
  toy.world->set_fault(send, FakeWorld::Fault::Delay, 0.2);
  bool was_sent = true;
  toy.rank(0).compute = [&](InstructionId id) {
    if (id == next) was_sent = toy.rank(0).has_ended(send);
  };
  for (const std::string& error : run_all(toy.ranks)) ASSERT_EQ(error, "");
  EXPECT_FALSE(was_sent);
}

TEST(RunDevice, ABucketIsReducedWhileEarlierLayersCompute) {
  Toy toy({stage(0, 4, {0, 1})});
  // The first bucket's sum takes 0.2 s, and so does the backward after it: most of the sum is hidden.
  constexpr double kSeconds = 0.2;
  const InstructionId reduction = find(toy.program, Opcode::AllReduce, 0, -1, 0);
  const InstructionId backward = find(toy.program, Opcode::Backward, 0, -1, 1);
  toy.world->set_fault(reduction, FakeWorld::Fault::Delay, kSeconds);
  for (auto& rank : toy.ranks)
    rank->compute = [&](InstructionId id) {
      const Instruction& one = toy.program.instructions[id.index()];
      if (one.opcode == Opcode::Backward && one.segment == 1)
        std::this_thread::sleep_for(std::chrono::duration<double>(kSeconds));
    };
  for (const std::string& error : run_all(toy.ranks)) ASSERT_EQ(error, "");
  const std::vector<Timeline::Span> spans = toy.rank(0).device().spans();
  const Timeline::Span sum = spans[reduction.index()];
  const Timeline::Span compute = spans[backward.index()];
  const Seconds hidden = std::min(sum.end, compute.end) - std::max(sum.begin, compute.begin);
  EXPECT_GE((sum.end - sum.begin).value(), kSeconds);
  EXPECT_GT(hidden.value(), 0.0);
}

TEST(RunDevice, APeerThatFailsNamesTheInstructionAndTheStepEnds) {
  Toy toy({stage(0, 2, {0}), stage(2, 4, {1})}, 4, 0.3);
  toy.world->set_fault(find(toy.program, Opcode::Send, 0, 2), FakeWorld::Fault::Fail);
  const std::vector<std::string> errors = run_all(toy.ranks);
  EXPECT_NE(errors[0].find("rank 0: Send"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("micro-batch 2"), std::string::npos) << errors[0];
  EXPECT_NE(errors[1].find("rank 1: no answer for"), std::string::npos) << errors[1];
}

TEST(RunDevice, APeerThatNeverAnswersIsNamedWithinTheLimit) {
  Toy toy({stage(0, 2, {0}), stage(2, 4, {1})}, 4, 0.3);
  toy.world->set_fault(find(toy.program, Opcode::Receive, 1, 3), FakeWorld::Fault::Hang);
  const std::vector<std::string> errors = run_all(toy.ranks);
  EXPECT_NE(errors[1].find("rank 1: no answer for 0.3 s: waits for Receive"), std::string::npos) << errors[1];
  EXPECT_NE(errors[1].find("micro-batch 3 from rank 0"), std::string::npos) << errors[1];
}

TEST(RunDevice, AMissingMemberOfACollectiveIsNamed) {
  Toy toy({stage(0, 4, {0, 1, 2})}, 4, 0.3);
  toy.world->set_fault(find(toy.program, Opcode::AllReduce, 2, -1, 0), FakeWorld::Fault::Hang);
  const std::vector<std::string> errors = run_all(toy.ranks);
  EXPECT_NE(errors[0].find("waits for AllReduce stage 0 bucket 0 with ranks 1, 2"), std::string::npos) << errors[0];
}

TEST(RunDevice, SaysWhatItWaitsFor) {
  Toy toy({stage(0, 2, {0}), stage(2, 4, {1})});
  toy.world->set_fault(find(toy.program, Opcode::Receive, 1, 0), FakeWorld::Fault::Delay, 0.3);
  std::string seen;
  std::atomic<bool> is_over = false;
  std::thread reader([&] {
    std::array<char, WaitNote::kCapacity> text{};
    while (!is_over && seen.empty()) {
      seen.assign(text.data(), toy.rank(1).device().waiting().read(text));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (const std::string& error : run_all(toy.ranks)) EXPECT_EQ(error, "");
  is_over = true;
  reader.join();
  EXPECT_EQ(seen, "Receive tensor 1 stage 1 micro-batch 0 from rank 0");
  std::array<char, WaitNote::kCapacity> text{};
  EXPECT_EQ(toy.rank(1).device().waiting().read(text), 0U);
}

TEST(RunDevice, WhatAComputationThrowsComesThroughAndTheNextStepRuns) {
  Toy toy({stage(0, 4, {0})});
  toy.rank(0).compute = [](InstructionId id) {
    if (id == InstructionId(3)) throw Error("out of luck");
  };
  EXPECT_EQ(run_all(toy.ranks)[0], "out of luck");
  toy.rank(0).compute = [](InstructionId) {};
  EXPECT_EQ(run_all(toy.ranks)[0], "");
}

/// The same plan by the interpreter, with a model: faults come out of run_step().
TEST(RunDevice, AFaultEndsAStepOfTraining) {
  const std::vector<SmallProblem> problems = make_small_problems();
  const Problem& problem = problems[5].problem;
  Plan plan;
  plan.stages = {stage(0, 3, {0}), stage(3, static_cast<int>(problem.network->unit_count()), {1})};
  plan.micro_batches = problems[5].micro_batches;
  const Program program = compile_or_die(problem, plan);
  FakeWorld world(2);
  world.set_fault(find(program, Opcode::Receive, 0, 0), FakeWorld::Fault::Hang);
  std::vector<std::string> errors(2);
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      const auto communicator = world.communicator(r);
      communicator->prepare(program);
      const auto device = make_cpu_device(program, *communicator, {.time_limit_s = 0.5});
      RandomSource source(problem, plan.micro_batches, 1);
      Interpreter interpreter(program, {.network = problem.network,
                                        .training = problem.training,
                                        .device = *device,
                                        .communicator = *communicator,
                                        .batches = source,
                                        .model = {},
                                        .class_weights = {}});
      try {
        (void)interpreter.run_step({});
      } catch (const DeviceError& error) {
        errors[static_cast<std::size_t>(r)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_NE(errors[0].find("waits for Receive gradient"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("micro-batch 0 from rank 1"), std::string::npos) << errors[0];
}

}  // namespace
}  // namespace gabra::exec
