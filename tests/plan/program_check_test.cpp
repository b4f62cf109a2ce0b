// SPDX-License-Identifier: MIT
// find_violation() must see every way in which a Program can be wrong: each test breaks a good one.
#include "gabra/plan/compiler.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

using test::stage;

class ProgramCheck : public testing::Test {
 protected:
  ProgramCheck() {
    const Problem problem = test::toy_problem(test::equal_layers(3, {1, 1, 8, 400}), {.devices = 3}, 4);
    Plan plan;
    plan.micro_batches = 4;
    plan.bucket = Bytes(400);
    plan.stages = {stage(0, 2, {0, 1}), stage(2, 3, {2})};
    Compiler compiler(problem);
    program_ = std::get<Program>(compiler.compile(plan));
  }
  Instruction& first(Opcode opcode) {
    for (Instruction& one : program_.instructions)
      if (one.opcode == opcode) return one;
    throw std::logic_error("no such instruction");
  }
  [[nodiscard]] std::string violation() const { return find_violation(program_, 4, 2); }

  Program program_;
};

TEST_F(ProgramCheck, AcceptsWhatTheCompilerMakes) { EXPECT_EQ(violation(), ""); }

TEST_F(ProgramCheck, SendWithoutReceive) {
  first(Opcode::Send).partner = InstructionId();
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, UnequalBytes) {
  first(Opcode::Receive).bytes += Bytes(1);
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, WrongPeer) {
  first(Opcode::Send).peer = DeviceId(1);
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, ForwardMissing) {
  first(Opcode::Forward).opcode = Opcode::Loss;
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, BackwardTwice) {
  first(Opcode::Loss).opcode = Opcode::Backward;
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, ReplicaLeftOutOfAnAllReduce) {
  program_.collectives.front().members.pop_back();
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, BucketNeverReduced) {
  for (Instruction& one : program_.instructions)
    if (one.opcode == Opcode::AllReduce && one.segment == 1) one.opcode = Opcode::CombineStatistics;
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, ReplicaNotUpdated) {
  first(Opcode::Update).opcode = Opcode::Loss;
  EXPECT_NE(violation(), "");
}
TEST_F(ProgramCheck, Cycle) {
  // The first forward of stage 0 waits for the first backward of stage 0, which needs it.
  InstructionId forward;
  InstructionId backward;
  for (std::size_t i = program_.instructions.size(); i-- > 0;) {
    if (program_.instructions[i].stage != StageId(0)) continue;
    if (program_.instructions[i].opcode == Opcode::Forward) forward = InstructionId(i);
    if (program_.instructions[i].opcode == Opcode::Backward) backward = InstructionId(i);
  }
  const auto add = [](Adjacency& adjacency, InstructionId at, InstructionId target) {
    adjacency.targets.insert(adjacency.targets.begin() + adjacency.offsets[at.index() + 1], target);
    for (std::size_t i = at.index() + 1; i < adjacency.offsets.size(); ++i) ++adjacency.offsets[i];
  };
  add(program_.predecessors, forward, backward);
  add(program_.successors, backward, forward);
  EXPECT_NE(violation(), "");
}

}  // namespace
}  // namespace gabra
