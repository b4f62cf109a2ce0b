// SPDX-License-Identifier: MIT
#include "gabra/sim/sim_evaluator.hpp"

#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace gabra::sim {
namespace {

using test::equal_layers;
using test::stage;
using test::ToyLayer;

constexpr double kForward = 1.0;
constexpr double kBackward = 2.0;

/// Stage s is unit s on device s.
Plan pipeline(int stages, int micro_batches, Schedule schedule) {
  Plan plan;
  plan.micro_batches = micro_batches;
  plan.schedule = schedule;
  for (int s = 0; s < stages; ++s) plan.stages.push_back(stage(s, s + 1, {s}));
  return plan;
}

StepReport report_of(SimEvaluator& evaluator, const Plan& plan) {
  const Evaluation evaluation = evaluator.evaluate(plan);
  if (const auto* infeasible = std::get_if<Infeasible>(&evaluation)) {
    ADD_FAILURE() << infeasible->message;
    return {};
  }
  return std::get<StepReport>(evaluation);
}

TEST(Pipeline, OfEqualStagesTakesTheKnownTime) {
  for (const int p : {1, 2, 4, 8}) {
    for (const int m : {1, 4, 16}) {
      // Nothing is sent but empty tensors, so communication costs nothing.
      SimEvaluator evaluator(
          test::toy_problem(equal_layers(static_cast<std::size_t>(p), {kForward, kBackward}), {.devices = p}, m));
      for (const Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward}) {
        SCOPED_TRACE(std::string(to_text(schedule)) + ", p = " + std::to_string(p) + ", m = " + std::to_string(m));
        const StepReport report = report_of(evaluator, pipeline(p, m, schedule));
        // The first micro-batch needs p steps to reach the end, the other m - 1 follow one by one: m + p - 1 steps of
        // forward and of backward. A device works in m of them.
        EXPECT_NEAR(report.step.value(), (m + p - 1) * (kForward + kBackward), 1e-9);
        EXPECT_NEAR(report.bubble_fraction, double(p - 1) / (m + p - 1), 1e-9);
        for (const DeviceReport& device : report.devices) {
          EXPECT_NEAR(device.compute.value(), m * (kForward + kBackward), 1e-9);
        }
      }
    }
  }
}

TEST(Pipeline, HoldsTheKnownNumberOfMicroBatches) {
  const int p = 4;
  const int m = 6;
  constexpr std::int64_t kSaved = 1000;
  SimEvaluator evaluator(test::toy_problem(equal_layers(p, {kForward, kBackward, 0, 0, kSaved}), {.devices = p}, m));
  const StepReport gpipe = report_of(evaluator, pipeline(p, m, Schedule::GPipe));
  const StepReport alternating = report_of(evaluator, pipeline(p, m, Schedule::OneForwardOneBackward));
  for (int s = 0; s < p; ++s) {
    // GPipe keeps the activations of all m micro-batches, 1F1B of min(m, p - s).
    EXPECT_EQ(gpipe.devices.at(static_cast<std::size_t>(s)).peak_memory, Bytes(m * kSaved));
    EXPECT_EQ(alternating.devices.at(static_cast<std::size_t>(s)).peak_memory, Bytes(std::min(m, p - s) * kSaved));
  }
}

TEST(Pipeline, SequentialRunsOneMicroBatchAtATime) {
  SimEvaluator evaluator(test::toy_problem(equal_layers(4, {kForward, kBackward}), {.devices = 4}, 5));
  const StepReport report = report_of(evaluator, pipeline(4, 5, Schedule::Sequential));
  // 5 micro-batches x 4 stages x 3 s; each device works a quarter of the time.
  EXPECT_NEAR(report.step.value(), 60.0, 1e-9);
  EXPECT_NEAR(report.bubble_fraction, 0.75, 1e-9);
}

TEST(Pipeline, TransfersComeOnTop) {
  // Outputs of 1e9 B over two links of 1e9 B/s and 0.25 s: 1.5 s a transfer. One micro-batch through two stages: 1 s,
  // 1.5 s, 1 s forward, then 2 s, 1.5 s, 2 s backward.
  SimEvaluator evaluator(test::toy_problem(equal_layers(2, {kForward, kBackward, 1'000'000'000}),
                                           {.devices = 2, .bandwidth = 1e9, .latency_s = 0.25}, 1));
  const StepReport report = report_of(evaluator, pipeline(2, 1, Schedule::GPipe));
  EXPECT_NEAR(report.step.value(), 9.0, 1e-7);
  EXPECT_NEAR(report.exposed_communication.value(), 3.0, 1e-7);
}

TEST(DataParallel, OverlapsTheAllReduceWithTheLastBackward) {
  // Two replicas of four units of 1 s and 2 s with 2e9 B of gradients each, one bucket per unit, over 1e9 B/s links:
  // a bucket's ring carries 2 x 1/2 x 2e9 B: 2 s. The forward takes 4 s; the buckets are ready at 6, 8, 10 and 12 s and
  // each is reduced while the next is computed; only the last is exposed: 14 s, and the update.
  const Problem problem =
      test::toy_problem(equal_layers(4, {kForward, kBackward, 0, 2'000'000'000}), {.devices = 2, .bandwidth = 1e9}, 2);
  SimEvaluator evaluator(problem);
  Plan plan;
  plan.micro_batches = 2;
  plan.bucket = Bytes(2'000'000'000);
  plan.stages = {stage(0, 4, {0, 1})};
  const StepReport report = report_of(evaluator, plan);
  const double update = evaluator.compiler().costs().update(0, 4, DeviceKindId(0)).value();
  EXPECT_NEAR(report.step.value(), 14.0 + update, 1e-6);
  EXPECT_NEAR(report.devices.at(0).exposed_communication.value(), 2.0, 1e-6);
}

TEST(Skip, HoldsItsTensorUntilItsReaderRan) {
  // l0's 4000 bytes are read by l1 and, two stages further, by l3. They reach device 3 soon after 1 s and are needed
  // from 3 s to 4 s. Nothing else takes memory there before the backward.
  const std::vector<ToyLayer> layers{
      {1, 1, 4000, 0, 0, {}}, {1, 1, 0, 0, 0, {}}, {1, 1, 0, 0, 0, {}}, {1, 1, 0, 0, 0, {2, 0}}};
  SimEvaluator evaluator(test::toy_problem(layers, {.devices = 4}, 1));
  const std::variant<Program, Infeasible> compiled =
      evaluator.compiler().compile(pipeline(4, 1, Schedule::OneForwardOneBackward));
  const Program& program = std::get<Program>(compiled);
  const Simulation simulation = evaluator.simulator().run(program);
  const auto in_use_at = [&](double time) {
    Bytes in_use;
    for (const MemorySample& sample : memory_samples(program, simulation.timeline)) {
      if (sample.device == DeviceId(3) && sample.time.value() <= time) in_use = sample.in_use;
    }
    return in_use;
  };
  EXPECT_EQ(in_use_at(0.5), Bytes(0));
  EXPECT_EQ(in_use_at(2.0), Bytes(4000));
  EXPECT_GE(in_use_at(3.5), Bytes(4000));
  EXPECT_EQ(in_use_at(simulation.timeline.end.value()), Bytes(0));
  // It goes round the pipeline, so it delays nothing: 4 s forward, 4 s backward, and 4 us for each of four transfers
  // at most.
  EXPECT_NEAR(simulation.timeline.end.value(), 8.0, 20e-6);
}

TEST(SimEvaluator, AnswersInOrderAndSaysWhyNot) {
  SimEvaluator evaluator(
      test::toy_problem(equal_layers(2, {kForward, kBackward, 0, 100}), {.devices = 2, .memory = 350}, 4));
  Plan one_device = pipeline(2, 4, Schedule::GPipe);
  one_device.stages = {stage(0, 2, {0})};
  Plan faulty = pipeline(2, 3, Schedule::GPipe);
  const std::vector<Plan> plans{one_device, pipeline(2, 4, Schedule::GPipe), faulty};
  const std::vector<Evaluation> evaluations = evaluator.evaluate(plans);
  ASSERT_EQ(evaluations.size(), 3U);
  // Weights, gradients and momentum of 2 x 100 bytes: 600 of 350.
  EXPECT_EQ(std::get<Infeasible>(evaluations[0]).excess(), Bytes(250));
  EXPECT_TRUE(std::holds_alternative<StepReport>(evaluations[1]));
  EXPECT_EQ(std::get<Infeasible>(evaluations[2]).reason, Infeasible::Reason::Structure);
}

}  // namespace
}  // namespace gabra::sim
