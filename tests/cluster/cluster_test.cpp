// SPDX-License-Identifier: MIT
#include "gabra/cluster/cluster.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace gabra {
namespace {

DeviceKind any_kind() {
  DeviceKind kind;
  kind.name = "kind";
  kind.memory = Bytes(1000);
  return kind;
}

Link link(int from, int to, double bandwidth, double latency = 0.0) {
  static int count = 0;
  return {.name = "link" + std::to_string(count++),
          .from = VertexId(from),
          .to = VertexId(to),
          .bandwidth = BytesPerSecond(bandwidth),
          .latency = Seconds(latency)};
}

void join(Cluster::Description& description, int a, int b, double bandwidth) {
  description.links.push_back(link(a, b, bandwidth));
  description.links.push_back(link(b, a, bandwidth));
}

/// `count` devices and `switches` switches, nothing joined.
Cluster::Description parts(int count, int switches) {
  Cluster::Description description;
  description.name = "test";
  description.kinds = {any_kind()};
  for (int i = 0; i < count; ++i) description.devices.push_back({"device" + std::to_string(i), DeviceKindId(0), 0});
  for (int i = 0; i < switches; ++i) description.switches.push_back({"switch" + std::to_string(i), 0, false});
  return description;
}

std::vector<int> values(std::span<const LinkId> ids) {
  std::vector<int> result;
  for (const LinkId id : ids) result.push_back(id.value());
  return result;
}

TEST(Route, TakesFewestLinksThenTheWidestThenTheLowestLink) {
  Cluster::Description description = parts(2, 4);
  // 0 -> 2 -> 1 is 1 wide; 0 -> 3 -> 1 and 0 -> 4 -> 1 are 5 wide; a detour over 5 is wider but longer.
  description.links = {link(0, 2, 1.0, 1.0), link(2, 1, 9.0, 1.0), link(0, 3, 5.0, 2.0), link(3, 1, 6.0, 3.0),
                       link(0, 4, 5.0, 2.0), link(4, 1, 6.0, 3.0), link(0, 5, 99.0),     link(5, 4, 99.0),
                       link(1, 2, 1.0),      link(2, 0, 1.0)};
  const Cluster cluster = Cluster::build(description, "test");
  const Route& route = cluster.route(DeviceId(0), DeviceId(1));
  EXPECT_EQ(values(route.links), (std::vector{2, 3}));
  EXPECT_EQ(route.bandwidth.value(), 5.0);
  EXPECT_EQ(route.latency.value(), 5.0);
  EXPECT_EQ(&cluster.route(DeviceId(0), DeviceId(1)), &route);
}

TEST(Route, PrefersOneNarrowLinkToTwoWideOnes) {
  Cluster::Description description = parts(2, 1);
  join(description, 0, 2, 50.0);
  join(description, 1, 2, 50.0);
  join(description, 0, 1, 1.0);
  EXPECT_EQ(Cluster::build(description, "test").route(DeviceId(1), DeviceId(0)).links.size(), 1U);
}

TEST(Route, PassesNoThirdDevice) {
  Cluster::Description description = parts(3, 2);
  join(description, 0, 1, 10.0);
  join(description, 1, 2, 10.0);
  join(description, 0, 3, 1.0);
  join(description, 3, 4, 1.0);
  join(description, 4, 2, 1.0);
  join(description, 3, 1, 1.0);
  const Cluster cluster = Cluster::build(description, "test");
  EXPECT_EQ(values(cluster.route(DeviceId(0), DeviceId(2)).links), (std::vector{4, 6, 8}));
}

TEST(Interchange, DevicesOfOneSwitchAreAlikeUnlessKindLinkOrMachineDiffers) {
  Cluster::Description description = parts(5, 1);
  description.kinds.push_back(any_kind());
  description.kinds.back().name = "other";
  description.devices[2].kind = DeviceKindId(1);
  description.devices[4].node = 1;
  for (int i = 0; i < 5; ++i) join(description, i, 5, i == 3 ? 2.0 : 1.0);
  const Cluster cluster = Cluster::build(description, "test");
  const auto classes = cluster.interchange_classes();
  EXPECT_EQ((std::vector<DeviceId>(classes.begin(), classes.end())),
            (std::vector{DeviceId(0), DeviceId(0), DeviceId(2), DeviceId(3), DeviceId(4)}));
}

TEST(Interchange, SwitchesMayBeRenumberedButDevicesMayNot) {
  // Devices 0 and 1 have a card of their own each, on one fabric: alike. In a path 2 - 3 - switch they are not.
  Cluster::Description description = parts(4, 3);
  join(description, 0, 4, 1.0);
  join(description, 1, 5, 1.0);
  join(description, 4, 6, 1.0);
  join(description, 5, 6, 1.0);
  join(description, 2, 6, 1.0);
  join(description, 3, 6, 1.0);
  join(description, 0, 2, 3.0);
  join(description, 1, 2, 3.0);
  const Cluster cluster = Cluster::build(description, "test");
  const auto classes = cluster.interchange_classes();
  EXPECT_EQ((std::vector<DeviceId>(classes.begin(), classes.end())),
            (std::vector{DeviceId(0), DeviceId(0), DeviceId(2), DeviceId(3)}));
}

TEST(Fingerprint, DependsOnWhatDecidesTimesAndNotOnNames) {
  Cluster::Description description = parts(2, 0);
  join(description, 0, 1, 10.0);
  const std::uint64_t first = Cluster::build(description, "test").fingerprint();
  description.devices[0].name = "renamed";
  description.links[0].name = "renamed link";
  EXPECT_EQ(Cluster::build(description, "test").fingerprint(), first);
  description.links[0].bandwidth = BytesPerSecond(11.0);
  EXPECT_NE(Cluster::build(description, "test").fingerprint(), first);
  description.links[0].bandwidth = BytesPerSecond(10.0);
  description.kinds[0].memory = Bytes(1001);
  EXPECT_NE(Cluster::build(description, "test").fingerprint(), first);
}

TEST(Build, ReportsEveryFaultAtOnce) {
  Cluster::Description description = parts(2, 1);
  description.kinds[0].peak_float32 = FlopsPerSecond(0.0);
  description.kinds[0].base_memory = Bytes(1000);
  description.kinds[0].efficiency[0].flops = std::numeric_limits<double>::quiet_NaN();
  description.devices[1].name = "device0";
  description.devices[1].kind = DeviceKindId(7);
  description.switches[0].node = -2;
  description.links = {link(0, 9, 0.0, -1.0), link(1, 1, 1.0)};
  description.links[0].lanes = 0;
  description.collective.exponent = 0.0;
  try {
    (void)Cluster::build(description, "file.json");
    FAIL() << "built";
  } catch (const InputError& error) {
    // Rate, base memory, NaN; name, kind; node; to, bandwidth, latency, lanes; loop; exponent.
    EXPECT_EQ(error.faults().size(), 12U) << error.what();
    for (const Fault& fault : error.faults()) EXPECT_EQ(fault.where.rfind("file.json", 0), 0U) << fault.where;
  }
}

TEST(Build, RefusesNoDeviceAndUnreachableDevices) {
  EXPECT_THROW((void)Cluster::build(parts(0, 0), "test"), InputError);
  Cluster::Description description = parts(3, 0);
  join(description, 0, 1, 1.0);
  description.links.push_back(link(1, 2, 1.0));  // one way only, and 0 would have to pass 1
  try {
    (void)Cluster::build(description, "test");
    FAIL() << "built";
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().size(), 3U) << error.what();  // 0 -> 2, 2 -> 0, 2 -> 1
  }
}

}  // namespace
}  // namespace gabra
