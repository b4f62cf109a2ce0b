// SPDX-License-Identifier: MIT
#include "gabra/sim/simulator.hpp"

#include "hand_made.hpp"

#include <gtest/gtest.h>

namespace gabra::sim {
namespace {

using test::HandMadeProgram;
using test::make_star;

TEST(Step, StreamsOfADeviceRunSideBySide) {
  const Cluster cluster = make_star(1);
  HandMadeProgram program;
  program.load(0, 2.0);
  program.compute(0, 1.0);
  program.compute(0, 4.0);
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build(10));
  // Loading takes nothing from the compute stream's 1 s + 4 s.
  EXPECT_DOUBLE_EQ(simulation.report.step.value(), 5.0);
  EXPECT_DOUBLE_EQ(simulation.report.samples_per_second, 2.0);
  EXPECT_DOUBLE_EQ(simulation.report.devices.at(0).compute.value(), 5.0);
}

TEST(Step, OfInstructionsWithoutTimeIsZero) {
  const Cluster cluster = make_star(2);
  HandMadeProgram program;
  InstructionId last = program.compute(0, 0.0);
  for (int i = 0; i < 100'000; ++i) last = program.compute(0, 0.0, {last});
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  EXPECT_EQ(simulation.report.step.value(), 0.0);
  EXPECT_EQ(simulation.report.bubble_fraction, 0.0);
}

TEST(Report, DividesTheStep) {
  const Cluster cluster = make_star(2, 10e9);
  HandMadeProgram program;
  const InstructionId first = program.compute(0, 1.0);
  const auto [send, receive] = program.transfer(0, 1, 20'000'000'000, {first});
  program.compute(0, 0.5, {first});
  program.compute(1, 3.0, {receive});
  Simulator simulator(cluster);
  const StepReport report = simulator.run(program.build()).report;
  // 1 s of compute, 2 s of transfer, 3 s of compute on the other side.
  EXPECT_NEAR(report.step.value(), 6.0, 6e-8);
  // Device 0: computes 1 + 0.5 s, then 1.5 s of the transfer are exposed, then nothing for 3 s.
  EXPECT_NEAR(report.devices.at(0).compute.value(), 1.5, 1e-7);
  EXPECT_NEAR(report.devices.at(0).exposed_communication.value(), 1.5, 1e-7);
  EXPECT_NEAR(report.devices.at(0).bubble.value(), 3.0, 1e-7);
  // Device 1: waits 1 s, receives 2 s, computes 3 s.
  EXPECT_NEAR(report.devices.at(1).compute.value(), 3.0, 1e-7);
  EXPECT_NEAR(report.devices.at(1).exposed_communication.value(), 2.0, 1e-7);
  EXPECT_NEAR(report.devices.at(1).bubble.value(), 1.0, 1e-7);
  // Means over the two devices: bubble (3 + 1) / 2 of 6 s, exposed (1.5 + 2) / 2.
  EXPECT_NEAR(report.bubble_fraction, 2.0 / 6.0, 1e-7);
  EXPECT_NEAR(report.exposed_communication.value(), 1.75, 1e-7);
}

TEST(Report, AddsUpEnergy) {
  const Cluster cluster = make_star(2, 10e9);
  HandMadeProgram program;
  program.compute(0, 4.0);
  program.compute(1, 1.0);
  Simulator simulator(cluster);
  const StepReport report = simulator.run(program.build()).report;
  // 100 W busy, 10 W idle, a step of 4 s: 4 x 100 J, and 1 x 100 + 3 x 10 J.
  EXPECT_DOUBLE_EQ(report.devices.at(0).energy.value(), 400.0);
  EXPECT_DOUBLE_EQ(report.devices.at(1).energy.value(), 130.0);
  EXPECT_DOUBLE_EQ(report.energy.value(), 530.0);
}

TEST(Report, CountsBytesAndBusyTimeOfLinks) {
  const Cluster cluster = make_star(3, 10e9);
  HandMadeProgram program;
  const auto first = program.transfer(0, 1, 10'000'000'000);
  program.transfer(2, 1, 10'000'000'000);
  const InstructionId wait = program.compute(0, 3.0);
  program.transfer(0, 1, 10'000'000'000, {first.first, wait});
  Simulator simulator(cluster);
  const StepReport report = simulator.run(program.build()).report;
  // Two flows share the downlink of device 1 (link 3) for 2 s; at 3 s a third takes 1 s. Uplinks are 0 and 4.
  ASSERT_EQ(report.links.size(), 3U);
  EXPECT_EQ(report.links[0].link, LinkId(0));
  EXPECT_DOUBLE_EQ(report.links[0].bytes, 20e9);
  EXPECT_NEAR(report.links[0].busy.value(), 3.0, 1e-7);
  EXPECT_EQ(report.links[1].link, LinkId(3));
  EXPECT_DOUBLE_EQ(report.links[1].bytes, 30e9);
  EXPECT_NEAR(report.links[1].busy.value(), 3.0, 1e-7);
  EXPECT_EQ(report.links[2].link, LinkId(4));
  EXPECT_DOUBLE_EQ(report.links[2].bytes, 10e9);
  EXPECT_NEAR(report.links[2].busy.value(), 2.0, 1e-7);
}

TEST(Slowdown, HoldsWhileATransferTouchesTheDevice) {
  // Compute of 4 s on both ends of a transfer of 2 s, slowed by 1.25: during the transfer 2 / 1.25 = 1.6 s of it are
  // done, the other 2.4 s take as long: 4.4 s. Device 2 has nothing to do with it: 4 s.
  const Cluster cluster = make_star(3, 10e9, 0.0, 1.25);
  HandMadeProgram program;
  for (int device = 0; device < 3; ++device) program.compute(device, 4.0);
  program.transfer(0, 1, 20'000'000'000);
  Simulator simulator(cluster);
  for (int repetition = 0; repetition < 2; ++repetition) {
    const StepReport report = simulator.run(program.build()).report;
    EXPECT_NEAR(report.devices.at(0).compute.value(), 4.4, 1e-7);
    EXPECT_NEAR(report.devices.at(1).compute.value(), 4.4, 1e-7);
    EXPECT_NEAR(report.devices.at(2).compute.value(), 4.0, 1e-7);
  }
}

TEST(Slowdown, OfMessagesIsTheReceiversWhereTheKindSaysSo) {
  // A transfer of 2 s: the receiver computes at a quarter of its speed meanwhile, 0.5 of its 4 s, so 2 + 3.5 = 5.5 s;
  // the sender at full speed, though collectives would slow it down.
  test::HandMadeCluster two{.devices = 2, .switches = 0, .cables = {{.from = 0, .to = 1, .bandwidth = 1e9}}};
  two.slowdown = 2.0;
  two.receive_slowdown = 4.0;
  two.send_slowdown = 1.0;
  const Cluster cluster = test::make_cluster(two);
  HandMadeProgram program;
  program.compute(0, 4.0);
  program.compute(1, 4.0);
  program.transfer(0, 1, 2'000'000'000);
  Simulator simulator(cluster);
  const StepReport report = simulator.run(program.build()).report;
  EXPECT_NEAR(report.devices.at(0).compute.value(), 4.0, 1e-7);
  EXPECT_NEAR(report.devices.at(1).compute.value(), 5.5, 1e-7);
}

TEST(Slowdown, GrowsWithTheNeighboursThatCompute) {
  // With k of 2 neighbours computing, compute takes 1 + (1.5 - 1) k / 2 times as long.
  const Cluster cluster =
      test::make_cluster({.devices = 3,
                          .switches = 0,
                          .cables = {{.from = 0, .to = 1}, {.from = 1, .to = 2}, {.from = 0, .to = 2}},
                          .neighbour_slowdown = 1.5});
  HandMadeProgram program;
  const InstructionId alone = program.compute(0, 2.0);
  const InstructionId beside = program.compute(1, 1.0);
  const InstructionId last = program.compute(0, 1.0);
  Simulator simulator(cluster);
  const Timeline timeline = simulator.run(program.build()).timeline;
  // Device 1 works for 1 s beside one neighbour: 1.25 s. Device 0 does 1 of its 2 s in that time, then 1 s alone.
  EXPECT_NEAR(timeline.spans[beside.index()].end.value(), 1.25, 1e-9);
  EXPECT_NEAR(timeline.spans[alone.index()].end.value(), 2.25, 1e-9);
  EXPECT_NEAR(timeline.spans[last.index()].end.value(), 3.25, 1e-9);
}

TEST(Slowdown, OfNeighboursAndCommunicationMultiply) {
  test::HandMadeCluster two{.devices = 2, .switches = 0, .cables = {{.from = 0, .to = 1, .bandwidth = 1e9}}};
  two.slowdown = 2.0;
  two.neighbour_slowdown = 1.5;
  const Cluster cluster = test::make_cluster(two);
  HandMadeProgram program;
  program.compute(0, 1.0);
  const InstructionId longer = program.compute(1, 2.0);
  program.transfer(0, 1, 100'000'000'000);  // 100 s: longer than everything
  Simulator simulator(cluster);
  const Timeline timeline = simulator.run(program.build()).timeline;
  // Both at 1/3 until device 0 is done at 3 s; device 1 has 1 s left, at 1/2: 5 s.
  EXPECT_NEAR(timeline.spans[longer.index()].end.value(), 5.0, 1e-9);
}

TEST(Step, EndsAfterItsOverhead) {
  const Cluster cluster = test::make_cluster({.devices = 1, .switches = 0, .cables = {}, .step_overhead_s = 0.25});
  HandMadeProgram program;
  program.compute(0, 1.0);
  Simulator simulator(cluster);
  EXPECT_DOUBLE_EQ(simulator.run(program.build()).report.step.value(), 1.25);
}

TEST(Slowdown, DoesNotAddUpOverTransfers) {
  // Two transfers one after the other on device 0's uplink sharing it: 4 s in all, then 1 s of compute is left:
  // 4 / 2 = 2 s done in 4 s, 3 - 2 = 1 s left: 5 s.
  const Cluster cluster = make_star(3, 10e9, 0.0, 2.0);
  HandMadeProgram program;
  program.compute(0, 3.0);
  program.transfer(0, 1, 20'000'000'000);
  program.transfer(0, 2, 20'000'000'000);
  Simulator simulator(cluster);
  EXPECT_NEAR(simulator.run(program.build()).report.devices.at(0).compute.value(), 5.0, 1e-7);
}

}  // namespace
}  // namespace gabra::sim
