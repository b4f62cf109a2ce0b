// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <vector>

namespace gabra::ga {

using DeviceOrder = std::vector<DeviceId>;

/// Devices by number, the fastest kinds (float32 peak) first.
[[nodiscard]] DeviceOrder fastest_first(const Cluster& cluster);

/// A path over all devices on which neighbours are joined by fast routes: nearest neighbour from the first device, then
/// 2-opt on the sum of seconds that 16 MB take from each to the next. On a cube mesh it follows NVLinks, on several
/// machines it visits one after the other.
[[nodiscard]] DeviceOrder connected_path(const Cluster& cluster);

/// The orders that heuristics place stages in, without repeats: by number, connected path, fastest first, and the
/// reverses of the last two where devices differ.
[[nodiscard]] std::vector<DeviceOrder> device_orders(const Cluster& cluster);

}  // namespace gabra::ga
