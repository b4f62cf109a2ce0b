// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gabra::test {

/// A layer of a toy network; everything per sample.
struct ToyLayer {
  double forward_s = 1.0;
  double backward_s = 2.0;
  std::int64_t output_bytes = 0;
  std::int64_t parameter_bytes = 0;
  std::int64_t saved_bytes = 0;
  std::vector<int> inputs = {};  ///< indices of earlier layers; empty: the one before
};

/// Opaque layers l0, l1, ...; each its own unit.
inline std::shared_ptr<const Network> toy_network(const std::vector<ToyLayer>& layers) {
  std::vector<LayerSpec> specs;
  std::vector<std::string> ends;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const ToyLayer& layer = layers[i];
    LayerSpec spec{"l" + std::to_string(i),
                   Opaque{"toy", layer.output_bytes, layer.parameter_bytes, layer.saved_bytes, 1,
                          Seconds(layer.forward_s), Seconds(layer.backward_s)},
                   {}};
    if (layer.inputs.empty() && i > 0) spec.inputs.push_back("l" + std::to_string(i - 1));
    for (const int input : layer.inputs) spec.inputs.push_back("l" + std::to_string(input));
    ends.push_back(spec.name);
    specs.push_back(std::move(spec));
  }
  return std::make_shared<const Network>(Network::build("toy", std::move(specs), "toy", ends));
}

inline std::vector<ToyLayer> equal_layers(std::size_t count, const ToyLayer& layer = {}) {
  return std::vector<ToyLayer>(count, layer);
}

struct ToyCluster {
  int devices = 4;
  double bandwidth = 1e9;  ///< bytes per second of every up and down link
  double latency_s = 0.0;  ///< of each of the two links on a route
  std::int64_t memory = std::int64_t{1} << 40;
  double launch_s = 0.0;
};

/// Devices d0, d1, ... behind one switch; collectives without overheads.
inline std::shared_ptr<const Cluster> toy_cluster(const ToyCluster& toy) {
  Cluster::Description description;
  description.name = "toy";
  DeviceKind kind;
  kind.name = "toy";
  kind.peak_float32 = FlopsPerSecond(1e12);
  kind.peak_bfloat16 = FlopsPerSecond(1e12);
  kind.memory = Bytes(toy.memory);
  kind.memory_bandwidth = BytesPerSecond(1e12);
  kind.launch = Seconds(toy.launch_s);
  kind.idle_power = Watts(10);
  kind.busy_power = Watts(100);
  kind.source = "made up for a test";
  description.kinds.push_back(kind);
  const VertexId hub(toy.devices);
  for (int i = 0; i < toy.devices; ++i) {
    const std::string name = "d" + std::to_string(i);
    description.devices.push_back({name, DeviceKindId(0), 0});
    const VertexId own(i);
    for (const bool is_up : {true, false}) {
      Link link;
      link.name = name + (is_up ? ".up" : ".down");
      link.from = is_up ? own : hub;
      link.to = is_up ? hub : own;
      link.bandwidth = BytesPerSecond(toy.bandwidth);
      link.latency = Seconds(toy.latency_s);
      description.links.push_back(link);
    }
  }
  description.switches.push_back({"hub", 0, false});
  description.collective.half_bytes = Bytes(0);
  return std::make_shared<const Cluster>(Cluster::build(std::move(description), "toy"));
}

inline Problem toy_problem(const std::vector<ToyLayer>& layers, const ToyCluster& cluster, std::int64_t batch) {
  Problem problem;
  problem.network = toy_network(layers);
  problem.cluster = toy_cluster(cluster);
  problem.training.global_batch = batch;
  return problem;
}

/// Stage of units [first, end) on devices.
inline Stage stage(int first, int end, const std::vector<int>& devices, Recompute recompute = Recompute::Never) {
  Stage result{first, end, {}, recompute};
  for (const int device : devices) result.devices.emplace_back(device);
  return result;
}

}  // namespace gabra::test
