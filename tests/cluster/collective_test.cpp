// SPDX-License-Identifier: MIT
#include "gabra/cluster/collective.hpp"

#include "first_devices.hpp"
#include "gabra/cluster/presets.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace gabra {
namespace {

using test::first;

constexpr Bytes kMebibyte{1 << 20};

/// `count` devices behind one switch, links of 1 GB/s, parameters that add nothing but 1 us + 1 us a step.
Cluster star(int count) {
  Cluster::Description description;
  description.name = "star";
  description.kinds.emplace_back();
  description.kinds[0].name = "kind";
  description.kinds[0].memory = Bytes(1000);
  for (int i = 0; i < count; ++i) description.devices.push_back({"d" + std::to_string(i), DeviceKindId(0), 0});
  description.switches.push_back({"switch", 0, false});
  for (int i = 0; i < count; ++i) {
    const Link up{.name = "up" + std::to_string(i),
                  .from = VertexId(i),
                  .to = VertexId(count),
                  .bandwidth = BytesPerSecond(1e9),
                  .latency = Seconds(1e-6)};
    Link down = up;
    down.name = "down" + std::to_string(i);
    std::swap(down.from, down.to);
    description.links.push_back(up);
    description.links.push_back(down);
  }
  description.collective.launch = Seconds(1e-6);
  description.collective.step = Seconds(1e-6);
  return Cluster::build(std::move(description), "star");
}

TEST(AllReduce, OneDeviceHasNothingToDo) {
  const Cluster cluster = star(2);
  CollectiveModel model(cluster);
  const AllReduceLayout& layout = model.all_reduce(first(1), kMebibyte);
  EXPECT_EQ(layout.algorithm, CollectiveAlgorithm::None);
  EXPECT_EQ(layout.alone.value(), 0.0);
  EXPECT_TRUE(layout.flows.empty());
}

TEST(AllReduce, RingBehindASwitch) {
  const Cluster cluster = star(4);
  CollectiveModel model(cluster);
  // Every device sends 2 (4-1)/4 of 100 MB at 1 GB/s: 150 ms; 1 us + 6 steps of 1 us before that.
  const AllReduceLayout& layout = model.all_reduce(first(4), Bytes(100'000'000));
  EXPECT_EQ(layout.algorithm, CollectiveAlgorithm::Rings);
  EXPECT_EQ(layout.flows.size(), 4U);
  EXPECT_DOUBLE_EQ(layout.flows[0].bytes, 150e6);
  EXPECT_DOUBLE_EQ(layout.latency.value(), 7e-6);
  EXPECT_DOUBLE_EQ(layout.alone.value(), 0.150007);
  // Nothing to send: the latency is left.
  EXPECT_DOUBLE_EQ(model.all_reduce(first(4), Bytes(0)).alone.value(), 7e-6);
}

TEST(AllReduce, OrderOfDevicesDoesNotMatter) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  const std::vector<DeviceId> forward{DeviceId(1), DeviceId(3), DeviceId(6)};
  const std::vector<DeviceId> backward{DeviceId(6), DeviceId(1), DeviceId(3)};
  EXPECT_EQ(&model.all_reduce(forward, kMebibyte), &model.all_reduce(backward, kMebibyte));
}

/// Channels of an all-reduce over the first `count` GPUs of a DGX-1, after checking that they fit on the lanes and that
/// each is a ring through all devices.
int checked_ring_count(const Cluster& cluster, CollectiveModel& model, int count) {
  const AllReduceLayout& layout = model.all_reduce(first(count), Bytes(1 << 30));
  if (layout.algorithm != CollectiveAlgorithm::Rings) return 0;
  std::map<LinkId, int> used;
  for (std::size_t ring = 0; ring < static_cast<std::size_t>(layout.channels); ++ring) {
    std::set<DeviceId> visited;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::size_t at = ring * static_cast<std::size_t>(count);
      const CollectiveFlow& flow = layout.flows[at + i];
      const CollectiveFlow& next = layout.flows[at + (i + 1) % static_cast<std::size_t>(count)];
      EXPECT_EQ(flow.to, next.from);
      visited.insert(flow.from);
      const Route& route = cluster.route(flow.from, flow.to);
      EXPECT_EQ(route.links.size(), 1U);
      ++used[route.links[0]];
    }
    EXPECT_EQ(visited.size(), static_cast<std::size_t>(count));
  }
  for (const auto& [link, rings] : used) EXPECT_LE(rings, cluster.link(link).lanes) << cluster.link(link).name;
  return layout.channels;
}

TEST(AllReduce, RingsOnTheCubeMesh) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  // Single NVLink between 0 and 1. GPU 0 has four lanes into {1,2,3}; GPU 4 reaches none of {1,2,3}, so nothing goes
  // round over five; with all eight every GPU uses its six lanes.
  EXPECT_EQ(checked_ring_count(cluster, model, 2), 1);
  EXPECT_EQ(checked_ring_count(cluster, model, 3), 2);
  EXPECT_EQ(checked_ring_count(cluster, model, 4), 4);
  EXPECT_EQ(checked_ring_count(cluster, model, 5), 0);
  EXPECT_EQ(checked_ring_count(cluster, model, 6), 2);
  EXPECT_EQ(checked_ring_count(cluster, model, 7), 4);
  EXPECT_EQ(checked_ring_count(cluster, model, 8), 6);
}

TEST(AllReduce, TreesWhereNoRingFits) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  const AllReduceLayout& layout = model.all_reduce(first(5), Bytes(1 << 30));
  EXPECT_EQ(layout.algorithm, CollectiveAlgorithm::Trees);
  EXPECT_EQ(layout.channels, 2);                 // GPU 4 has two lanes to GPU 0 and no other
  EXPECT_EQ(layout.flows.size(), 2U * 4U * 2U);  // four edges a tree, up and down
  std::map<LinkId, int> used;
  for (const CollectiveFlow& flow : layout.flows) ++used[cluster.route(flow.from, flow.to).links[0]];
  for (const auto& [link, flows] : used) EXPECT_LE(flows, cluster.link(link).lanes);
}

TEST(AllReduce, BusBandwidthOfTheCubeMeshIsNotMonotonic) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  const auto seconds = [&](int count) { return model.all_reduce(first(count), Bytes(64 << 20)).alone; };
  EXPECT_GT(seconds(5), seconds(4));
  EXPECT_GT(seconds(6), seconds(4));
  EXPECT_LT(seconds(8), seconds(6));
}

TEST(AllReduce, WithoutNvlinkItGoesOverPcie) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  const std::vector<DeviceId> pair{DeviceId(0), DeviceId(5)};
  const AllReduceLayout& layout = model.all_reduce(pair, Bytes(1 << 30));
  EXPECT_EQ(layout.channels, 1);
  // The socket link of 9.6 GB/s is the narrowest: 2^30 B take 111.8 ms.
  EXPECT_NEAR(layout.alone.value(), 1073741824.0 / 9.6e9, 1e-4);
}

TEST(AllReduce, RingsOverMachinesUseEveryNetworkCard) {
  const Cluster cluster = make_preset_cluster("dgx-a100:nodes=2,fabric=200Gbit/s");
  CollectiveModel model(cluster);
  const AllReduceLayout& layout = model.all_reduce(first(16), Bytes(1 << 30));
  EXPECT_EQ(layout.channels, 8);
  std::map<std::string, int> cards;
  for (const CollectiveFlow& flow : layout.flows)
    for (const LinkId id : cluster.route(flow.from, flow.to).links)
      if (cluster.link(id).name.ends_with("->fabric")) ++cards[cluster.link(id).name];
  EXPECT_EQ(cards.size(), 16U);
  for (const auto& [card, flows] : cards) EXPECT_EQ(flows, 1) << card;

  const Cluster v100 = make_preset_cluster("dgx1-v100:nodes=2");
  EXPECT_EQ(CollectiveModel(v100).all_reduce(first(16), Bytes(1 << 30)).channels, 4);
  const Cluster p40 = make_preset_cluster("pcie-p40x8:nodes=2");
  EXPECT_EQ(CollectiveModel(p40).all_reduce(first(16), Bytes(1 << 30)).channels, 1);
}

TEST(AllReduce, EveryGroupOfEveryMachineIsLaidOut) {
  for (const ClusterPreset& preset : cluster_presets()) {
    const Cluster cluster = make_preset_cluster(preset.name);
    CollectiveModel model(cluster);
    for (std::uint32_t mask = 1; mask < 1U << cluster.device_count(); ++mask) {
      std::vector<DeviceId> devices;
      for (std::size_t i = 0; i < cluster.device_count(); ++i)
        if ((mask >> i & 1U) != 0) devices.emplace_back(i);
      if (devices.size() < 2) continue;
      const AllReduceLayout& layout = model.all_reduce(devices, kMebibyte);
      std::set<DeviceId> sources;
      for (const CollectiveFlow& flow : layout.flows) sources.insert(flow.from);
      EXPECT_EQ(sources.size(), devices.size()) << preset.name << " " << mask;
      EXPECT_GT(layout.alone, layout.latency);
      EXPECT_TRUE(std::isfinite(layout.alone.value()));
    }
  }
}

TEST(AllReduce, RingsOverMachinesPassEveryDeviceOnce) {
  for (const char* name : {"dgx1-v100:nodes=3", "dgx-a100:nodes=3", "pcie-p40x8:nodes=3", "p3.8xlarge:nodes=3"}) {
    const Cluster cluster = make_preset_cluster(name);
    CollectiveModel model(cluster);
    for (std::uint64_t step = 1; step < 400; ++step) {
      const std::uint64_t mask = step * 0x9E3779B97F4A7C15ULL >> 20U;
      std::vector<DeviceId> devices;
      for (std::size_t i = 0; i < cluster.device_count(); ++i)
        if ((mask >> i & 1U) != 0) devices.emplace_back(i);
      if (devices.size() < 2) continue;
      const bool is_over_machines = cluster.device(devices.front()).node != cluster.device(devices.back()).node;
      if (!is_over_machines) continue;
      const AllReduceLayout& layout = model.all_reduce(devices, kMebibyte);
      ASSERT_EQ(layout.flows.size(), devices.size() * static_cast<std::size_t>(layout.channels)) << name;
      for (std::size_t ring = 0; ring < layout.flows.size(); ring += devices.size()) {
        std::set<DeviceId> visited;
        for (std::size_t i = 0; i < devices.size(); ++i) {
          visited.insert(layout.flows[ring + i].from);
          EXPECT_EQ(layout.flows[ring + i].to, layout.flows[ring + (i + 1) % devices.size()].from) << name;
        }
        EXPECT_EQ(visited, std::set<DeviceId>(devices.begin(), devices.end())) << name;
      }
    }
  }
}

TEST(AllReduce, LargeGroupsHaveALayout) {
  for (const char* name : {"dgx-a100:nodes=16", "dgx1-v100:nodes=16", "pcie-p40x8:nodes=16"}) {
    const Cluster cluster = make_preset_cluster(name);
    CollectiveModel model(cluster);
    EXPECT_GT(model.all_reduce(first(128), kMebibyte).alone.value(), 0.0) << name;
  }
}

TEST(AllReduce, LayoutsStayForAWhileAndAreForgottenLater) {
  const Cluster cluster = make_preset_cluster("dgx-a100");
  CollectiveModel model(cluster);
  const AllReduceLayout& layout = model.all_reduce(first(8), Bytes(1));
  const double alone = layout.alone.value();
  for (std::int64_t i = 2; i < 1 + static_cast<std::int64_t>(CollectiveModel::kLayoutsKept); ++i)
    (void)model.all_reduce(first(8), Bytes(i));
  EXPECT_EQ(&model.all_reduce(first(8), Bytes(1)), &layout);
  EXPECT_EQ(layout.alone.value(), alone);
  for (std::int64_t i = 0; i < 200'000; ++i) (void)model.all_reduce(first(2 + static_cast<int>(i % 7)), Bytes(i));
  EXPECT_EQ(model.all_reduce(first(8), Bytes(1)).alone.value(), alone);
}

}  // namespace
}  // namespace gabra
