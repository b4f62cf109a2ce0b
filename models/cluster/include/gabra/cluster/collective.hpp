// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
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

/// Lays NCCL-like all-reduces on a cluster's links; remembers what it was asked for, within bounds.
///
/// In one machine whose devices are joined by NVLinks directly: as many rings as fit on the lanes, edge-disjoint, each
/// through every device; where no ring fits, spanning trees. Behind a switch, or where NVLinks do not join the group:
/// one ring, from each device to the nearest one left. Over several machines: rings that pass machine after machine,
/// entering and leaving each by a network card of their own.
/// The cluster must outlive it. Not safe to call from several threads.
class CollectiveModel {
 public:
  /// A layout stays where it is until at least so many others have been asked for.
  static constexpr std::size_t kLayoutsKept = 1024;

  explicit CollectiveModel(const Cluster& cluster);
  CollectiveModel(CollectiveModel&&) noexcept;
  CollectiveModel& operator=(CollectiveModel&&) = delete;
  ~CollectiveModel();

  /// All-reduce of `size` bytes (zero or more) over `devices` (distinct, at least one; one device: nothing to do). The
  /// order of the devices does not matter. The reference is good for kLayoutsKept further layouts.
  [[nodiscard]] const AllReduceLayout& all_reduce(std::span<const DeviceId> devices, Bytes size);

 private:
  struct Group;
  struct LayoutKey {
    std::uint64_t group;
    std::int64_t bytes;
    bool operator==(const LayoutKey&) const = default;
  };
  struct LayoutKeyHash {
    std::size_t operator()(const LayoutKey& key) const noexcept;
  };
  using Layouts = std::unordered_map<LayoutKey, AllReduceLayout, LayoutKeyHash>;

  const Group& group(std::span<const DeviceId> devices);

  const Cluster& cluster_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Group>> groups_;  // by hash of the devices, then the next free key
  std::uint64_t next_group_ = 0;
  Layouts recent_;  // when full it replaces `earlier_`; what is asked for again moves back
  Layouts earlier_;
  std::size_t recent_flows_ = 0;
};

}  // namespace gabra
