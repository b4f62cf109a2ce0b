// SPDX-License-Identifier: MIT
#include "gabra/sim/simulator.hpp"

#include "hand_made.hpp"

#include <gtest/gtest.h>

namespace gabra::sim {
namespace {

using test::HandMadeProgram;
using test::make_cluster;
using test::make_star;

double begin_of(const Simulation& simulation, InstructionId id) {
  return simulation.timeline.spans[id.index()].begin.value();
}
double end_of(const Simulation& simulation, InstructionId id) {
  return simulation.timeline.spans[id.index()].end.value();
}

TEST(Transfer, TakesLatencyPlusBytesOverBandwidth) {
  const Cluster cluster = make_cluster({.cables = {{.from = 0, .to = 1, .bandwidth = 25e9, .latency_s = 2e-6}}});
  HandMadeProgram program;
  const auto [send, receive] = program.transfer(0, 1, 1'000'000'000);
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  // 1e9 B / 25e9 B/s = 40 ms, and 2 us before that.
  const double expected = 0.040002;
  EXPECT_NEAR(simulation.timeline.end.value(), expected, 1e-8 * expected);
  EXPECT_EQ(begin_of(simulation, send), 0.0);
  EXPECT_EQ(begin_of(simulation, receive), 0.0);
  EXPECT_EQ(end_of(simulation, send), end_of(simulation, receive));
}

TEST(Transfer, OfFewBytesIsNotRoundedAway) {
  const Cluster cluster = make_cluster({.cables = {{.from = 0, .to = 1, .bandwidth = 3e9, .latency_s = 0.0}}});
  HandMadeProgram program;
  program.transfer(0, 1, 1);
  Simulator simulator(cluster);
  const double expected = 1.0 / 3e9;
  EXPECT_NEAR(simulator.run(program.build()).timeline.end.value(), expected, 1e-8 * expected);
}

TEST(Transfer, OfNoBytesTakesTheLatency) {
  const Cluster cluster = make_star(2, 25e9, 3e-6);
  HandMadeProgram program;
  program.transfer(0, 1, 0);
  Simulator simulator(cluster);
  // Two links of 3 us each.
  EXPECT_DOUBLE_EQ(simulator.run(program.build()).timeline.end.value(), 6e-6);
}

TEST(Transfer, BeginsWhenBothSidesMay) {
  const Cluster cluster = make_cluster({.cables = {{.from = 0, .to = 1, .bandwidth = 1e9, .latency_s = 0.0}}});
  HandMadeProgram program;
  const InstructionId early = program.compute(0, 1.0);
  const InstructionId late = program.compute(1, 5.0);
  const auto [send, receive] = program.transfer(0, 1, 2'000'000'000, {early}, {late});
  const InstructionId then = program.compute(1, 0.5, {receive});
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  // The Receive may start at 5 s; 2 s of transfer; then 0.5 s.
  EXPECT_DOUBLE_EQ(begin_of(simulation, send), 5.0);
  EXPECT_DOUBLE_EQ(end_of(simulation, send), 7.0);
  EXPECT_DOUBLE_EQ(end_of(simulation, then), 7.5);
  EXPECT_DOUBLE_EQ(simulation.report.step.value(), 7.5);
}

TEST(Sharing, TwoFlowsOverOneLinkHalveIt) {
  const Cluster cluster = make_star(3, 25e9);
  HandMadeProgram program;
  const auto first = program.transfer(0, 1, 1'000'000'000);
  const auto second = program.transfer(0, 2, 1'000'000'000);
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  // Both leave over device 0's uplink: 12.5e9 B/s each, 80 ms.
  EXPECT_NEAR(end_of(simulation, first.first), 0.080, 1e-8 * 0.080);
  EXPECT_NEAR(end_of(simulation, second.first), 0.080, 1e-8 * 0.080);
}

TEST(Sharing, IsEqualForRoutesOfDifferentLatency) {
  // Device 0 reaches devices 1 and 2 over the same first link; the ways on take 1 us and 7 us more.
  const Cluster cluster = make_cluster({.devices = 3,
                                        .switches = 1,
                                        .cables = {{.from = 0, .to = 3, .bandwidth = 25e9, .latency_s = 1e-6},
                                                   {.from = 1, .to = 3, .bandwidth = 100e9, .latency_s = 1e-6},
                                                   {.from = 2, .to = 3, .bandwidth = 100e9, .latency_s = 7e-6}}});
  HandMadeProgram program;
  const auto near_flow = program.transfer(0, 1, 1'000'000'000);
  const auto far_flow = program.transfer(0, 2, 1'000'000'000);
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  // The near flow starts at 2 us and is alone for 6 us (25e9 x 6e-6 = 150,000 B). The rest, 999,850,000 B, goes at
  // 12.5e9 B/s: 79.988 ms, so it ends at 8 us + 79.988 ms = 79.996 ms. By then the far flow has sent as much, and its
  // last 150,000 B take 6 us at full rate: 80.002 ms.
  EXPECT_NEAR(end_of(simulation, near_flow.first), 0.079996, 1e-8 * 0.08);
  EXPECT_NEAR(end_of(simulation, far_flow.first), 0.080002, 1e-8 * 0.08);
}

TEST(Sharing, IsMaxMinFair) {
  // Flows A: 0 -> 1, B: 0 -> 2, C: 3 -> 2 behind one switch with 10e9 B/s links. A and B share the uplink of 0, B and C
  // the downlink of 2: all get 5e9 B/s. B carries 5e9 B (1 s); A and C carry 10e9 B: 1 s at 5e9, then 0.5 s at 10e9.
  const Cluster cluster = make_star(4, 10e9);
  HandMadeProgram program;
  const auto a = program.transfer(0, 1, 10'000'000'000);
  const auto b = program.transfer(0, 2, 5'000'000'000);
  const auto c = program.transfer(3, 2, 10'000'000'000);
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  EXPECT_NEAR(end_of(simulation, a.first), 1.5, 1.5e-8);
  EXPECT_NEAR(end_of(simulation, b.first), 1.0, 1e-8);
  EXPECT_NEAR(end_of(simulation, c.first), 1.5, 1.5e-8);
}

TEST(Sharing, FatPipeGivesEachFlowTheWholeBandwidth) {
  for (const bool is_fat_pipe : {false, true}) {
    const Cluster cluster =
        make_cluster({.devices = 4,
                      .switches = 2,
                      .cables = {{.from = 0, .to = 4, .bandwidth = 10e9},
                                 {.from = 1, .to = 4, .bandwidth = 10e9},
                                 {.from = 4, .to = 5, .bandwidth = 10e9, .is_fat_pipe = is_fat_pipe},
                                 {.from = 2, .to = 5, .bandwidth = 10e9},
                                 {.from = 3, .to = 5, .bandwidth = 10e9}}});
    HandMadeProgram program;
    program.transfer(0, 2, 10'000'000'000);
    program.transfer(1, 3, 10'000'000'000);
    Simulator simulator(cluster);
    // Over the shared backbone 5e9 B/s each, over the fat pipe 10e9 B/s each.
    const double expected = is_fat_pipe ? 1.0 : 2.0;
    EXPECT_NEAR(simulator.run(program.build()).timeline.end.value(), expected, 1e-8 * expected);
  }
}

TEST(Sharing, DirectionsOfALinkAreSeparate) {
  const Cluster cluster = make_cluster({.cables = {{.from = 0, .to = 1, .bandwidth = 10e9}}});
  HandMadeProgram program;
  program.transfer(0, 1, 10'000'000'000);
  program.transfer(1, 0, 10'000'000'000);
  Simulator simulator(cluster);
  EXPECT_NEAR(simulator.run(program.build()).timeline.end.value(), 1.0, 1e-8);
}

}  // namespace
}  // namespace gabra::sim
