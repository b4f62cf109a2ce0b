// SPDX-License-Identifier: MIT
// The interpreter on a device that enqueues, as a GPU does: what is sent may be read after its tensor was let go of.
#include "support/lone_rank.hpp"
#include "support/plan_runner.hpp"
#include "support/random_cases.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace gabra::exec {
namespace {

/// The addition's gradient goes to a stage of another rank and to one of this rank, whose dropout may write over it.
TEST(RunEnqueued, WhatIsSentOfAGradientHasNoOtherHolder) {
  const std::vector<SmallProblem> problems = make_small_problems();
  const SmallProblem& small = problems[5];
  const auto units = static_cast<std::int32_t>(small.problem.network->unit_count());
  Plan plan;
  plan.micro_batches = small.micro_batches;
  plan.stages = {{0, 2, {DeviceId(0)}}, {2, 4, {DeviceId(1)}}, {4, units, {DeviceId(1)}}};
  const Program program = compile_or_die(small.problem, plan);
  int gradients = 0;
  LoneCommunicator communicator(program, 1, [&](const TransferRequest& request) {
    if (request.opcode == Opcode::Receive) request.tensor.fill_(0.5);
    if (!program.instructions[request.instruction.index()].is_gradient) return;
    ++gradients;
    EXPECT_EQ(request.tensor.storage().use_count(), 1U);
    EXPECT_EQ(request.tensor.use_count(), 2U);  // the request's and the device's
  });
  EnqueuingDevice device(program, communicator);
  RandomSource source(small.problem, small.micro_batches, 1);
  const ModelOptions model{.dtype = at::kDouble, .seed = 5};
  Interpreter interpreter(program,
                          {small.problem.network, small.problem.training, device, communicator, source, model, {}});
  (void)interpreter.run_step({});
  EXPECT_EQ(gradients,
            2 * small.micro_batches);  // of the tensors that cross the cut: block 2's, for block 3 and the sum
}

}  // namespace
}  // namespace gabra::exec
