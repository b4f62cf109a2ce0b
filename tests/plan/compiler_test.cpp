// SPDX-License-Identifier: MIT
#include "gabra/plan/compiler.hpp"

#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace gabra {
namespace {

using test::equal_layers;
using test::stage;
using test::ToyLayer;

Program compiled(const Problem& problem, const Plan& plan) {
  Compiler compiler(problem);
  auto result = compiler.compile(plan);
  if (const auto* infeasible = std::get_if<Infeasible>(&result)) ADD_FAILURE() << infeasible->message;
  return std::get<Program>(std::move(result));
}

/// The compute stream of a device as text: F0 F1 B0 ..., U for the update, R for a recomputation.
std::string order_on(const Program& program, int device) {
  const std::map<Opcode, std::string> letters{
      {Opcode::Forward, "F"}, {Opcode::Backward, "B"}, {Opcode::Recompute, "R"}, {Opcode::Update, "U"}};
  std::string text;
  for (const Instruction& one : program.instructions) {
    if (one.device != DeviceId(device) || !letters.contains(one.opcode)) continue;
    if (one.opcode == Opcode::Backward && one.segment > 0) continue;
    if (!text.empty()) text += ' ';
    text += letters.at(one.opcode);
    if (one.micro_batch >= 0) text += std::to_string(one.micro_batch);
  }
  return text;
}

Plan pipeline(int stages, int micro_batches, Schedule schedule) {
  Plan plan;
  plan.micro_batches = micro_batches;
  plan.schedule = schedule;
  for (int s = 0; s < stages; ++s) plan.stages.push_back(stage(s, s + 1, {s}));
  return plan;
}

TEST(Compiler, OneForwardOneBackwardHoldsAtMostTheStagesBehind) {
  const Problem problem = test::toy_problem(equal_layers(3, {1, 1}), {.devices = 3}, 5);
  const Program program = compiled(problem, pipeline(3, 5, Schedule::OneForwardOneBackward));
  // Stage s holds at most 3 - s micro-batches.
  EXPECT_EQ(order_on(program, 0), "F0 F1 F2 B0 F3 B1 F4 B2 B3 B4 U");
  EXPECT_EQ(order_on(program, 1), "F0 F1 B0 F2 B1 F3 B2 F4 B3 B4 U");
  EXPECT_EQ(order_on(program, 2), "F0 B0 F1 B1 F2 B2 F3 B3 F4 B4 U");
}

TEST(Compiler, GPipeRunsAllForwardsFirst) {
  const Problem problem = test::toy_problem(equal_layers(2), {.devices = 2}, 3);
  const Program program = compiled(problem, pipeline(2, 3, Schedule::GPipe));
  EXPECT_EQ(order_on(program, 0), "F0 F1 F2 B0 B1 B2 U");
  EXPECT_EQ(order_on(program, 1), "F0 F1 F2 B0 B1 B2 U");
}

TEST(Compiler, SequentialHasOneMicroBatchInFlight) {
  const Problem problem = test::toy_problem(equal_layers(2), {.devices = 2}, 3);
  const Program program = compiled(problem, pipeline(2, 3, Schedule::Sequential));
  EXPECT_EQ(order_on(program, 0), "F0 B0 F1 B1 F2 B2 U");
}

TEST(Compiler, UnequalReplicasDealMicroBatchesInTurn) {
  // 2 + 1: stage 0 on d0 (even micro-batches) and d1 (odd ones), stage 1 on d2.
  const Problem problem = test::toy_problem(equal_layers(2, {1, 1, 8, 400}), {.devices = 3}, 4);
  Plan plan;
  plan.micro_batches = 4;
  plan.stages = {stage(0, 1, {0, 1}), stage(1, 2, {2})};
  const Program program = compiled(problem, plan);
  EXPECT_EQ(order_on(program, 0), "F0 F2 B0 B2 U");
  EXPECT_EQ(order_on(program, 1), "F1 F3 B1 B3 U");
  EXPECT_EQ(order_on(program, 2), "F0 B0 F1 B1 F2 B2 F3 B3 U");
  // One bucket, reduced by d0 and d1: 400 bytes of float32 parameters have 400 bytes of gradients.
  ASSERT_EQ(program.collectives.size(), 1U);
  EXPECT_EQ(program.collectives[0].bytes, Bytes(400));
  EXPECT_EQ(program.collectives[0].devices, (std::vector{DeviceId(0), DeviceId(1)}));
}

TEST(Compiler, LastBackwardIsCutByBuckets) {
  const Problem problem = test::toy_problem(equal_layers(4, {1, 2, 8, 400}), {.devices = 2}, 4);
  Plan plan;
  plan.micro_batches = 4;
  plan.bucket = Bytes(800);
  plan.stages = {stage(0, 4, {0, 1})};
  const Program program = compiled(problem, plan);
  // Units 3 and 2 make a bucket of 800 bytes, 1 and 0 the other; each segment takes half of the backward of 8 s.
  int pieces = 0;
  for (const Instruction& one : program.instructions) {
    if (one.opcode != Opcode::Backward) continue;
    if (one.micro_batch < 2) {
      EXPECT_EQ(one.segment, -1);
      EXPECT_DOUBLE_EQ(one.seconds.value(), 8.0);
    } else {
      EXPECT_DOUBLE_EQ(one.seconds.value(), 4.0);
      ++pieces;
    }
  }
  EXPECT_EQ(pieces, 4);
  ASSERT_EQ(program.collectives.size(), 2U);
  EXPECT_EQ(program.collectives[0].bytes, Bytes(800));
  // The first all-reduce waits for the first segment, not for the second.
  const auto before = program.predecessors.of(program.collectives[0].members[0]);
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(program.instructions[before[0].index()].segment, 0);
}

TEST(Compiler, StagesOnOneDeviceNeedNoTransfers) {
  const Problem problem = test::toy_problem(equal_layers(4, {1, 1, 8}), {.devices = 2}, 2);
  Plan plan;
  plan.micro_batches = 2;
  plan.stages = {stage(0, 1, {0}), stage(1, 2, {1}), stage(2, 3, {0}), stage(3, 4, {0})};
  const Program program = compiled(problem, plan);
  // Edges 0-1 and 1-2 cross devices, 2-3 does not: two micro-batches, forward and back.
  const auto sends = std::count_if(program.instructions.begin(), program.instructions.end(),
                                   [](const Instruction& one) { return one.opcode == Opcode::Send; });
  EXPECT_EQ(sends, 2 * 2 * 2);
}

TEST(Compiler, SkipOverStagesIsSentStraightToItsReader) {
  // l0 -> l1 -> l2 and l0 -> l2, each on its own device; outputs of 1, 10 and 100 bytes a sample.
  const std::vector<ToyLayer> layers{{1, 1, 4, 0, 0, {}}, {1, 1, 40, 0, 0, {}}, {1, 1, 400, 0, 0, {1, 0}}};
  const Problem problem = test::toy_problem(layers, {.devices = 3}, 1);
  const Program program = compiled(problem, pipeline(3, 1, Schedule::OneForwardOneBackward));
  std::vector<std::string> sends;
  for (const Instruction& one : program.instructions)
    if (one.opcode == Opcode::Send)
      sends.push_back(std::to_string(one.device.value()) + ">" + std::to_string(one.peer.value()) + ":" +
                      std::to_string(one.bytes.value()) + (one.is_gradient ? "g" : ""));
  std::sort(sends.begin(), sends.end());
  EXPECT_EQ(sends, (std::vector<std::string>{"0>1:4", "0>2:4", "1>0:4g", "1>2:40", "2>0:4g", "2>1:40g"}));
}

TEST(Compiler, PeakMemoryInFlight) {
  // Each stage saves 1000 bytes a micro-batch and has 100 bytes of weights; transfers and outputs take nothing.
  const Problem problem = test::toy_problem(equal_layers(4, {1, 1, 0, 100, 1000}), {.devices = 4}, 8);
  const auto peak = [&](Schedule schedule, int device) {
    return compiled(problem, pipeline(4, 8, schedule)).peak_memory[static_cast<std::size_t>(device)].value();
  };
  for (int s = 0; s < 4; ++s) {
    // Weights, gradients and momentum: 3 x 100. GPipe holds all 8 micro-batches, 1F1B min(8, 4 - s).
    EXPECT_EQ(peak(Schedule::GPipe, s), 300 + 8 * 1000);
    EXPECT_EQ(peak(Schedule::OneForwardOneBackward, s), 300 + (4 - s) * 1000);
  }
}

TEST(Compiler, SkipHoldsItsTensorForAsLongAsItMust) {
  // l0's output of 4000 bytes is read by l1 and by l3; l3 is two stages further. Nothing else takes memory.
  const std::vector<ToyLayer> layers{
      {1, 1, 4000, 0, 0, {}}, {1, 1, 0, 0, 0, {}}, {1, 1, 0, 0, 0, {}}, {1, 1, 0, 0, 0, {2, 0}}};
  const Problem problem = test::toy_problem(layers, {.devices = 4}, 1);
  const Program program = compiled(problem, pipeline(4, 1, Schedule::OneForwardOneBackward));
  // On device 3 the tensor arrives long before its forward and is there when the forward begins.
  std::int64_t held = 0;
  bool is_held_at_forward = false;
  for (const MemoryEvent& event : program.memory_events) {
    if (event.device != DeviceId(3)) continue;
    if (program.instructions[event.instruction.index()].opcode == Opcode::Forward && event.at_end && held >= 4000)
      is_held_at_forward = true;
    held += event.delta.value();
  }
  EXPECT_TRUE(is_held_at_forward);
  EXPECT_EQ(held, 0);
  EXPECT_GE(program.peak_memory[3].value(), 4000);
}

TEST(Compiler, BuffersWaitForMessagesSinceTheOneBefore) {
  // Only l0's output of 4000 bytes takes memory, and its gradient. On device 1 micro-batch 1 comes when micro-batch 0
  // is done, but its buffer waits from the time when the first message was there; on device 0 the buffer for the first
  // gradient is there from the start.
  const Problem problem = test::toy_problem({{1, 1, 4000, 0, 0, {}}, {1, 1, 0, 0, 0, {}}}, {.devices = 2}, 2);
  Plan plan = pipeline(2, 2, Schedule::Sequential);
  const Program program = compiled(problem, plan);
  std::map<DeviceId, int> waiting;
  for (const MemoryEvent& event : program.memory_events) {
    const Opcode opcode = program.instructions[event.instruction.index()].opcode;
    if (opcode == Opcode::Receive && !event.at_end) ++waiting[event.device];
    const bool is_done = opcode == Opcode::Forward && event.device == DeviceId(0);
    const bool is_next = opcode == Opcode::Backward && event.device == DeviceId(1);
    EXPECT_GE(waiting[event.device], is_next ? 2 : is_done ? 1 : 0);
  }
  EXPECT_EQ(waiting[DeviceId(1)], 2);
}

TEST(Compiler, RecomputationTradesMemoryForTime) {
  const Problem problem = test::toy_problem(equal_layers(2, {1, 2, 0, 0, 1000}), {.devices = 1}, 4);
  Plan plan;
  plan.micro_batches = 4;
  plan.schedule = Schedule::GPipe;
  plan.stages = {stage(0, 2, {0}, Recompute::Always)};
  const Program always = compiled(problem, plan);
  EXPECT_EQ(order_on(always, 0), "F0 F1 F2 F3 R0 B0 R1 B1 R2 B2 R3 B3 U");
  EXPECT_EQ(always.peak_memory[0].value(), 2000);
  plan.stages[0].recompute = Recompute::ExceptLast;
  const Program except_last = compiled(problem, plan);
  EXPECT_EQ(order_on(except_last, 0), "F0 F1 F2 F3 R0 B0 R1 B1 R2 B2 B3 U");
  EXPECT_EQ(except_last.peak_memory[0].value(), 4000);
  plan.stages[0].recompute = Recompute::Never;
  EXPECT_EQ(compiled(problem, plan).peak_memory[0].value(), 4 * 2000);
}

TEST(Compiler, ShortageNamesTheWorstDevice) {
  std::vector<ToyLayer> layers = equal_layers(2, {1, 1, 0, 100, 0});
  layers[1].parameter_bytes = 1000;
  const Problem problem = test::toy_problem(layers, {.devices = 2, .memory = 250}, 1);
  Compiler compiler(problem);
  const auto result = compiler.compile(pipeline(2, 1, Schedule::GPipe));
  ASSERT_TRUE(std::holds_alternative<Infeasible>(result));
  const Infeasible& infeasible = std::get<Infeasible>(result);
  EXPECT_EQ(infeasible.reason, Infeasible::Reason::Memory);
  EXPECT_EQ(infeasible.device, DeviceId(1));
  EXPECT_EQ(infeasible.required, Bytes(3000));
  EXPECT_EQ(infeasible.excess(), Bytes(2750));
  EXPECT_EQ(infeasible.breakdown[static_cast<std::size_t>(MemoryCategory::Weights)], Bytes(1000));
  EXPECT_EQ(infeasible.breakdown[static_cast<std::size_t>(MemoryCategory::OptimizerState)], Bytes(1000));
}

TEST(Compiler, FaultyPlanIsInfeasible) {
  const Problem problem = test::toy_problem(equal_layers(2), {.devices = 2}, 4);
  Compiler compiler(problem);
  Plan plan = pipeline(2, 3, Schedule::GPipe);  // 3 does not divide 4
  const auto result = compiler.compile(plan);
  ASSERT_TRUE(std::holds_alternative<Infeasible>(result));
  EXPECT_EQ(std::get<Infeasible>(result).reason, Infeasible::Reason::Structure);
  EXPECT_FALSE(std::get<Infeasible>(result).message.empty());
}

TEST(Compiler, ClippingWaitsForAllBackwardsAndPrecedesUpdates) {
  Problem problem = test::toy_problem(equal_layers(2, {1, 1, 8, 400}), {.devices = 2}, 2);
  problem.training.clip_norm = 1.0;
  const Program program = compiled(problem, pipeline(2, 2, Schedule::GPipe));
  ASSERT_EQ(program.collectives.size(), 1U);
  for (const InstructionId member : program.collectives[0].members)
    EXPECT_EQ(program.instructions[program.predecessors.of(member)[0].index()].opcode, Opcode::Backward);
  // Each update waits for its device's part of the clipping.
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    if (program.instructions[i].opcode != Opcode::Update) continue;
    int waits = 0;
    for (const InstructionId before : program.predecessors.of(InstructionId(i)))
      waits += program.instructions[before.index()].opcode == Opcode::ClipNorm ? 1 : 0;
    EXPECT_EQ(waits, 1);
  }
}

TEST(Compiler, WideSumsMoveAndKeepTwiceTheGradients) {
  Problem problem = test::toy_problem(equal_layers(2, {1, 1, 8, 400}), {.devices = 2}, 4);
  problem.training.clip_norm = 1.0;
  const Plan plan{.micro_batches = 2,
                  .stages = {{.first_unit = 0, .end_unit = 2, .devices = {DeviceId(0), DeviceId(1)}}}};
  const Program plain = compiled(problem, plan);
  problem.training.gradient_sum = GradientSum::Wide;
  const Program wide = compiled(problem, plan);
  ASSERT_EQ(plain.instructions.size(), wide.instructions.size());
  for (std::size_t i = 0; i < plain.instructions.size(); ++i) {
    const Instruction& one = plain.instructions[i];
    const bool is_sum = one.opcode == Opcode::AllReduce || one.opcode == Opcode::ClipNorm;
    EXPECT_EQ(wide.instructions[i].bytes.value(), (is_sum ? 2 : 1) * one.bytes.value()) << describe(one);
  }
  const auto gradients = static_cast<std::size_t>(MemoryCategory::Gradients);
  for (std::size_t category = 0; category < plain.static_memory[0].size(); ++category)
    EXPECT_EQ(wide.static_memory[0][category].value(),
              (category == gradients ? 2 : 1) * plain.static_memory[0][category].value());
}

}  // namespace
}  // namespace gabra
