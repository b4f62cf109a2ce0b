// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <map>
#include <span>
#include <vector>

namespace gabra {

/// One stream of data of a collective between neighbours of a ring or tree, sharing bandwidth with everything else.
struct CollectiveFlow {
  DeviceId from;
  DeviceId to;
  /// Seconds-equivalent of the transfer times the link's bandwidth: what the simulator sends. It is larger than the
  /// payload by the round overhead and the size-dependent efficiency of CollectiveParameters.
  double bytes = 0.0;
};

enum class CollectiveAlgorithm { None, Rings, Trees };

/// How an all-reduce is laid on the links: all flows start together after `latency`.
struct AllReduceLayout {
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::None;
  int channels = 0;  ///< rings or trees
  Seconds latency;
  std::vector<CollectiveFlow> flows;
  Seconds alone;  ///< time when nothing else uses the links, its own flows sharing them
};

/// Lays NCCL-like all-reduces on a cluster's links; remembers the rings of every group it was asked for.
/// The cluster must outlive it. Not safe to call from several threads.
class CollectiveModel {
 public:
  explicit CollectiveModel(const Cluster& cluster) : cluster_(cluster) {}

  /// All-reduce of `size` bytes over `devices` (distinct; one device: nothing to do). The order of the devices does
  /// not matter.
  [[nodiscard]] const AllReduceLayout& all_reduce(std::span<const DeviceId> devices, Bytes size);

 private:
  struct Channels {
    CollectiveAlgorithm algorithm = CollectiveAlgorithm::None;
    std::vector<std::vector<std::pair<DeviceId, DeviceId>>> edges;  // per channel
  };
  const Channels& channels(const std::vector<DeviceId>& devices);

  const Cluster& cluster_;
  std::map<std::vector<DeviceId>, Channels> channels_;
  std::map<std::pair<std::vector<DeviceId>, Bytes>, AllReduceLayout> layouts_;
};

}  // namespace gabra
