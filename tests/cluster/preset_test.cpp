// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>

#include <set>

namespace gabra {
namespace {

std::vector<std::string> names_on_route(const Cluster& cluster, int from, int to) {
  std::vector<std::string> result;
  for (const LinkId id : cluster.route(DeviceId(from), DeviceId(to)).links) result.push_back(cluster.link(id).name);
  return result;
}

using Names = std::vector<std::string>;

std::size_t fault_count(const std::string& text) {
  try {
    (void)make_preset_cluster(text);
    return 0;
  } catch (const InputError& error) {
    return error.faults().size();
  }
}

TEST(Presets, EveryOneBuildsAndJoinsAllPairs) {
  EXPECT_EQ(cluster_presets().size(), 9U);
  for (const ClusterPreset& preset : cluster_presets())
    for (const char* options : {"", ":nodes=2"}) {
      const Cluster cluster = make_preset_cluster(preset.name + options);
      EXPECT_EQ(cluster.name(), preset.name + options);
      EXPECT_FALSE(cluster.description().sources.empty());
      EXPECT_FALSE(cluster.description().kinds[0].source.empty());
      const auto count = static_cast<int>(cluster.device_count());
      for (int from = 0; from < count; ++from)
        for (int to = 0; to < count; ++to) {
          if (from == to) continue;
          const Route& there = cluster.route(DeviceId(from), DeviceId(to));
          const Route& back = cluster.route(DeviceId(to), DeviceId(from));
          EXPECT_EQ(there.links.size(), back.links.size());
          EXPECT_EQ(there.bandwidth, back.bandwidth);
        }
    }
}

TEST(Presets, SizesAndMemory) {
  EXPECT_EQ(make_preset_cluster("dgx1-v100").device_count(), 8U);
  EXPECT_EQ(make_preset_cluster("dgx-a100:nodes=16").device_count(), 128U);
  EXPECT_EQ(make_preset_cluster("dgx1-v100:gpus=3,nodes=2").device_count(), 6U);
  EXPECT_EQ(make_preset_cluster("workstation-2").device_count(), 2U);
  EXPECT_EQ(make_preset_cluster("dgx1-v100").kind_of(DeviceId(0)).memory, Bytes(std::int64_t{32} << 30));
  EXPECT_EQ(make_preset_cluster("dgx1-v100:memory=16GiB").kind_of(DeviceId(0)).memory, Bytes(std::int64_t{16} << 30));
  EXPECT_EQ(make_preset_cluster("p3.8xlarge").kind_of(DeviceId(3)).memory, Bytes(std::int64_t{16} << 30));
}

TEST(Presets, RoutesOfTheCubeMesh) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  EXPECT_EQ(names_on_route(cluster, 0, 4), (Names{"GPU0->GPU4"}));
  EXPECT_EQ(names_on_route(cluster, 1, 0), (Names{"GPU1->GPU0"}));
  // No NVLink between 0 and 5: PCIe, across the sockets.
  EXPECT_EQ(names_on_route(cluster, 0, 5),
            (Names{"GPU0->PCIe0", "PCIe0->root0", "root0->root1", "root1->PCIe2", "PCIe2->GPU5"}));
  // Lanes: every GPU has six.
  for (int gpu = 0; gpu < 8; ++gpu) {
    int lanes = 0;
    for (const Link& link : cluster.links())
      if (link.is_nvlink && link.from == VertexId(gpu)) lanes += link.lanes;
    EXPECT_EQ(lanes, 6) << gpu;
  }
}

TEST(Presets, RoutesBetweenMachinesPassTheFabricOnce) {
  const Cluster a100 = make_preset_cluster("dgx-a100:nodes=2,fabric=100Gbit/s");
  EXPECT_EQ(names_on_route(a100, 3, 8 + 5),
            (Names{"node0/GPU3->node0/PCIe3", "node0/PCIe3->node0/NIC3", "node0/NIC3->fabric", "fabric->node1/NIC5",
                   "node1/NIC5->node1/PCIe5", "node1/PCIe5->node1/GPU5"}));
  EXPECT_EQ(a100.route(DeviceId(3), DeviceId(13)).bandwidth.value(), 12.5e9);
  const Cluster v100 = make_preset_cluster("dgx1-v100:nodes=2");
  EXPECT_EQ(names_on_route(v100, 3, 8 + 5),
            (Names{"node0/GPU3->node0/PCIe1", "node0/PCIe1->node0/NIC1", "node0/NIC1->fabric", "fabric->node1/NIC2",
                   "node1/NIC2->node1/PCIe2", "node1/PCIe2->node1/GPU5"}));
}

TEST(Presets, InterchangeClasses) {
  const auto classes = [](const std::string& text) {
    const Cluster cluster = make_preset_cluster(text);
    std::vector<int> result;
    for (const DeviceId id : cluster.interchange_classes()) result.push_back(id.value());
    return result;
  };
  // The cube mesh has symmetries, but none that swaps two GPUs and leaves six in place.
  EXPECT_EQ(classes("dgx1-v100"), (std::vector{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(classes("dgx-a100"), (std::vector{0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(classes("dgx-a100:gpus=2,nodes=2"), (std::vector{0, 0, 2, 2}));
  EXPECT_EQ(classes("pcie-p40x8"), (std::vector{0, 0, 0, 0, 4, 4, 4, 4}));
  EXPECT_EQ(classes("pcie-2080tix4"), (std::vector{0, 0, 2, 2}));
  EXPECT_EQ(classes("workstation-2"), (std::vector{0, 0}));
}

TEST(Presets, RefuseBadOptionsAllAtOnce) {
  EXPECT_EQ(fault_count("dgx1-v1000"), 1U);
  EXPECT_EQ(fault_count(""), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:nodes"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:nodes=0"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:nodes=1000000"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:nodes=99999999999999999999"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:gpus=9"), 1U);
  EXPECT_EQ(fault_count("workstation-cpu:gpus=64"), 0U);
  EXPECT_EQ(fault_count("workstation-cpu:gpus=65"), 1U);
  EXPECT_EQ(fault_count("workstation-cpu:gpus=64,nodes=17"), 1U);  // 1088 devices; 1024 are allowed
  EXPECT_EQ(fault_count("dgx1-v100:memory=16"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:memory=1GiB"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:fabric=0Gbit/s"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:fabric=fast"), 1U);
  EXPECT_EQ(fault_count("dgx1-v100:node=2,gpus=-1,memory=2,nodes=1,nodes=2"), 4U);
  try {
    (void)make_preset_cluster("dgx1-v100:node=2");
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"nodes\""), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace gabra
