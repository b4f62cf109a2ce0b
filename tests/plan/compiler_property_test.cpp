// SPDX-License-Identifier: MIT
// Laws that hold for every plan, over random problems and plans; the failing seed is printed.
#include "gabra/plan/compiler.hpp"
#include "support/random_problem.hpp"

#include <gtest/gtest.h>

#include <map>

namespace gabra {
namespace {

constexpr std::uint64_t kCases = 400;

class EveryPlan : public testing::Test {
 protected:
  /// Calls `check(compiler, plan, program)` for kCases compiled plans.
  template <class Check>
  static void for_all(Check check) {
    for (std::uint64_t seed = 1; seed <= kCases; ++seed) {
      SCOPED_TRACE(testing::Message() << "seed " << seed);
      Rng rng(seed);
      const Problem problem = test::random_problem(rng);
      const Plan plan = test::random_plan(problem, rng);
      ASSERT_EQ(find_faults(problem, plan), std::vector<std::string>{});
      Compiler compiler(problem);
      const auto result = compiler.compile(plan);
      ASSERT_TRUE(std::holds_alternative<Program>(result));
      check(compiler, plan, std::get<Program>(result));
    }
  }
};

TEST_F(EveryPlan, GivesBackAllMemoryThatItTook) {
  for_all([](Compiler&, const Plan&, const Program& program) {
    std::map<DeviceId, std::int64_t> held;
    std::map<DeviceId, std::int64_t> peak;
    for (const DeviceId device : program.devices) {
      for (const Bytes part : program.static_memory[device.index()]) held[device] += part.value();
      peak[device] = held[device];
    }
    const std::map<DeviceId, std::int64_t> before = held;
    for (const MemoryEvent& event : program.memory_events) {
      held[event.device] += event.delta.value();
      EXPECT_GE(held[event.device], before.at(event.device));
      EXPECT_EQ(program.instructions[event.instruction.index()].device, event.device);
      peak[event.device] = std::max(peak[event.device], held[event.device]);
    }
    EXPECT_EQ(held, before);
    for (const auto& [device, bytes] : peak) EXPECT_EQ(program.peak_memory[device.index()].value(), bytes);
  });
}

TEST_F(EveryPlan, PredecessorsComeFirstAndSuccessorsMirrorThem) {
  for_all([](Compiler&, const Plan&, const Program& program) {
    std::size_t links = 0;
    for (std::size_t i = 0; i < program.instructions.size(); ++i)
      for (const InstructionId before : program.predecessors.of(InstructionId(i))) {
        EXPECT_LT(before.index(), i);
        const auto after = program.successors.of(before);
        EXPECT_NE(std::find(after.begin(), after.end(), InstructionId(i)), after.end());
        ++links;
      }
    EXPECT_EQ(links, program.successors.targets.size());
  });
}

TEST_F(EveryPlan, ComputesEveryMicroBatchAtItsCost) {
  for_all([](Compiler& compiler, const Plan& plan, const Program& program) {
    // Forwards and backwards of each stage add up to M times the stage's span, whatever the segments.
    const std::int64_t micro_batch = compiler.problem().training.global_batch / plan.micro_batches;
    std::vector<double> sums(plan.stages.size(), 0.0);
    for (const Instruction& one : program.instructions)
      if (one.opcode == Opcode::Forward || one.opcode == Opcode::Backward)
        sums[one.stage.index()] += one.seconds.value();
    for (std::size_t s = 0; s < sums.size(); ++s) {
      const SpanSeconds span =
          compiler.costs().span(plan.stages[s].first_unit, plan.stages[s].end_unit, DeviceKindId(0), micro_batch);
      const double expected = static_cast<double>(plan.micro_batches) * (span.forward + span.backward).value();
      EXPECT_NEAR(sums[s], expected, 1e-9 * expected);
    }
  });
}

TEST_F(EveryPlan, ReducesEveryParameterOfAReplicatedStageOnce) {
  for_all([](Compiler& compiler, const Plan& plan, const Program& program) {
    std::vector<std::int64_t> reduced(plan.stages.size(), 0);
    for (const Collective& collective : program.collectives)
      reduced[program.instructions[collective.members[0].index()].stage.index()] += collective.bytes.value();
    for (std::size_t s = 0; s < reduced.size(); ++s) {
      const Stage& stage = plan.stages[s];
      const std::int64_t bytes = 4 * compiler.costs().parameters(stage.first_unit, stage.end_unit);
      EXPECT_EQ(reduced[s], stage.devices.size() > 1 ? bytes : 0);
    }
  });
}

TEST_F(EveryPlan, IsCompiledTheSameTwice) {
  for_all([](Compiler& compiler, const Plan& plan, const Program& program) {
    Compiler other(compiler.problem());
    const Program again = std::get<Program>(other.compile(plan));
    ASSERT_EQ(again.instructions.size(), program.instructions.size());
    for (std::size_t i = 0; i < again.instructions.size(); ++i)
      EXPECT_EQ(describe(again.instructions[i]), describe(program.instructions[i]));
  });
}

}  // namespace
}  // namespace gabra
