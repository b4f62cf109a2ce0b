// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/core/error.hpp"

#include <functional>
#include <string>

namespace gabra::detail {

/// Where the parts of a description stand in its source, for messages.
struct DescriptionPlaces {
  std::function<std::string(std::size_t)> kind;
  std::function<std::string(std::size_t)> device;
  std::function<std::string(std::size_t)> vertex;  ///< switches, counted from 0
  std::function<std::string(std::size_t)> link;
  std::function<std::string(std::size_t)> route;
  std::string devices;  ///< the lists themselves
  std::string switches;
  std::string links;
  std::string collective;
};

/// Places that go by name: "NAME: link \"a->b\"".
[[nodiscard]] DescriptionPlaces places_by_name(const Cluster::Description& description, const std::string& place);

/// Larger clusters are refused: tables of routes grow with the square.
inline constexpr std::size_t kMostDevices = 1024;
inline constexpr std::size_t kMostSwitches = 8192;
inline constexpr std::size_t kMostLinks = 65536;

/// Everything that Cluster::build() refuses. `is_whole` says that no part was left out for a fault of its own; else,
/// and while ids dangle, reachability cannot be judged and is not looked at.
void check_description(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults,
                       bool is_whole = true);

/// Links that leave each vertex, in link order.
[[nodiscard]] std::vector<std::vector<LinkId>> outgoing_links(const Cluster::Description& description);

/// See Cluster::interchange_classes().
[[nodiscard]] std::vector<DeviceId> find_interchange_classes(const Cluster::Description& description);

/// See Cluster::fingerprint().
[[nodiscard]] std::uint64_t fingerprint_of(const Cluster::Description& description);

}  // namespace gabra::detail
