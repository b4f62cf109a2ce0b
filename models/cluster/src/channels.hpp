// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/collective.hpp"

#include <span>
#include <vector>

namespace gabra::detail {

/// Rings or trees of a group of devices.
struct Channels {
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::None;
  int count = 0;
  std::vector<std::pair<DeviceId, DeviceId>> edges;  ///< of all channels; a tree's edges in both directions
  double height = 0.0;                               ///< of the highest tree, in edges
  double seconds_per_flow_byte = 0.0;                ///< of the busiest link, when every edge carries one byte
  Seconds step;                                      ///< of one step of a ring, mean over its edges
};

/// See CollectiveModel. `devices` ascending, at least two.
[[nodiscard]] Channels find_channels(const Cluster& cluster, std::span<const DeviceId> devices);

}  // namespace gabra::detail
