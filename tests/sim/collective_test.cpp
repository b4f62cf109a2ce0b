// SPDX-License-Identifier: MIT
#include "gabra/cluster/collective.hpp"
#include "gabra/core/error.hpp"
#include "gabra/sim/simulator.hpp"

#include "hand_made.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gabra::sim {
namespace {

using test::HandMadeProgram;
using test::make_star;

std::vector<DeviceId> first_devices(int count) {
  std::vector<DeviceId> devices;
  for (int i = 0; i < count; ++i) devices.emplace_back(i);
  return devices;
}

TEST(AllReduce, BehindASwitchTakesTheRingsTime) {
  for (const int devices : {2, 3, 4, 8}) {
    const Cluster cluster = make_star(devices, 10e9);
    Simulator simulator(cluster);
    const Bytes size(1'000'000'000);
    // Each device sends 2(n-1)/n of the size over its uplink; the hand-made cluster has no other overhead or latency.
    const double expected = 2.0 * (devices - 1) / devices * 1e9 / 10e9;
    EXPECT_NEAR(simulate_all_reduce(simulator, first_devices(devices), size).value(), expected, 1e-8 * expected);
  }
}

TEST(AllReduce, AloneTakesTheTimeThatItsLayoutStates) {
  const Cluster cluster = make_star(4, 10e9, 5e-6);
  CollectiveModel model(cluster);
  Simulator simulator(cluster);
  for (const std::int64_t size : {std::int64_t{1}, std::int64_t{100'000}, std::int64_t{3'000'000'000}}) {
    const double stated = model.all_reduce(first_devices(4), Bytes(size)).alone.value();
    EXPECT_NEAR(simulate_all_reduce(simulator, first_devices(4), Bytes(size)).value(), stated, 1e-6 * stated);
  }
}

TEST(AllReduce, OfOneDeviceOrOfNothingIsDoneAtOnce) {
  const Cluster cluster = make_star(4, 10e9);
  Simulator simulator(cluster);
  EXPECT_EQ(simulate_all_reduce(simulator, first_devices(1), Bytes(1'000'000)).value(), 0.0);
}

TEST(AllReduce, RefusesDevicesThatAreNotThere) {
  const Cluster cluster = make_star(4, 10e9);
  Simulator simulator(cluster);
  const Bytes size(1000);
  EXPECT_THROW(static_cast<void>(simulate_all_reduce(simulator, {}, size)), InputError);
  EXPECT_THROW(static_cast<void>(simulate_all_reduce(simulator, std::vector{DeviceId(0), DeviceId(4)}, size)),
               InputError);
  EXPECT_THROW(static_cast<void>(simulate_all_reduce(simulator, std::vector{DeviceId(0), DeviceId()}, size)),
               InputError);
  EXPECT_THROW(static_cast<void>(simulate_all_reduce(simulator, std::vector{DeviceId(1), DeviceId(1)}, size)),
               InputError);
}

TEST(AllReduce, WaitsForItsLastMember) {
  const Cluster cluster = make_star(2, 10e9);
  HandMadeProgram program;
  const InstructionId early = program.compute(0, 1.0);
  const InstructionId late = program.compute(1, 3.0);
  const std::vector<InstructionId> members = program.all_reduce({0, 1}, 10'000'000'000, {early, late});
  const InstructionId then = program.compute(0, 0.5, {members[0]});
  Simulator simulator(cluster);
  const Simulation simulation = simulator.run(program.build());
  // Both members are ready at 3 s; 2 x 1/2 of 10e9 B at 10e9 B/s is 1 s.
  for (const InstructionId member : members) {
    EXPECT_NEAR(simulation.timeline.spans[member.index()].begin.value(), 3.0, 1e-8);
    EXPECT_NEAR(simulation.timeline.spans[member.index()].end.value(), 4.0, 1e-7);
  }
  EXPECT_NEAR(simulation.timeline.spans[then.index()].end.value(), 4.5, 1e-7);
}

TEST(AllReduce, SharesLinksWithTransfers) {
  const Cluster cluster = make_star(3, 10e9);
  HandMadeProgram program;
  program.all_reduce({0, 1}, 10'000'000'000);
  program.transfer(0, 2, 10'000'000'000);
  Simulator simulator(cluster);
  // The uplink of device 0 carries 10e9 B of the ring and 10e9 B of the transfer: 2 s, both at half rate.
  EXPECT_NEAR(simulator.run(program.build()).report.step.value(), 2.0, 1e-7);
}

}  // namespace
}  // namespace gabra::sim
