// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/core/ids.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace gabra::detail {

/// Links that are alike as far as a table can tell.
enum class LinkClass : std::uint8_t { NvLink, InMachine, BetweenMachines };
/// "NVLinks", "links inside machines", "links between machines".
[[nodiscard]] const char* name_of(LinkClass link_class);
[[nodiscard]] LinkClass class_of(const Cluster& cluster, const Link& link);

using DevicePair = std::pair<DeviceId, DeviceId>;

/// Data that goes between pairs of devices at once, sharing links.
class Flows {
 public:
  Flows(const Cluster& cluster, std::vector<DevicePair> pairs);

  /// The pair whose way is the narrowest, then of the highest latency.
  [[nodiscard]] const DevicePair& slowest() const { return slowest_; }
  /// Bytes per second for each pair, as the narrowest way allows.
  [[nodiscard]] double rate() const { return rate(slowest_); }
  /// What limits: links between machines if the slowest pair stands in two, else the class of its narrowest link.
  [[nodiscard]] LinkClass limiting_class() const;
  [[nodiscard]] bool crosses(const DevicePair& pair) const;
  [[nodiscard]] const std::vector<DevicePair>& pairs() const { return pairs_; }

  /// Scales all links of the class so that they let `rate` bytes per second through for each pair, and widens other
  /// links on the ways that use the class to as much, since data came through them, with all that are as narrow.
  /// Returns the factor.
  double set_rate(Cluster::Description& description, LinkClass link_class, double rate) const;
  /// Changes latencies of the class so that the way between `pair` has `latency`. Where other links on it take longer
  /// than that, their classes are shortened too.
  void set_latency(Cluster::Description& description, LinkClass link_class, const DevicePair& pair,
                   Seconds latency) const;

 private:
  [[nodiscard]] double share(LinkId id) const;
  [[nodiscard]] double rate(const DevicePair& pair) const;
  [[nodiscard]] const std::vector<LinkId>& links_of(const DevicePair& pair) const;

  const Cluster& cluster_;
  std::vector<DevicePair> pairs_;
  std::map<LinkId, int> uses_;
  DevicePair slowest_;
};

}  // namespace gabra::detail
