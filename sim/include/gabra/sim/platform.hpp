// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <string>

namespace gabra::sim {

/// Reads a SimGrid platform file: hosts become devices, links keep bandwidth, latency and sharing, and every route
/// stays as it is. SimGrid itself reads the file, in a child process, because its loader fills the one engine of a
/// process. Figures that a platform does not have (memory, powers) come from the properties that to_platform_xml()
/// writes, else they are assumed, which DeviceKind::source says. Throws InputError with SimGrid's own message: no such
/// file, not a platform, more than 256 hosts, a route missing, routes that no graph of links gives back, or a loader
/// that crashes or does not end within 30 s.
[[nodiscard]] Cluster read_platform(const std::string& path);

/// A platform file that SimGrid loads, with explicit routes, in which a transfer takes the same time. Flows whose
/// routes differ in latency share a link unequally there, as SimGrid's network models have it. read_platform() of it
/// gives back devices, kinds, routes and collectives; switches lose their names.
[[nodiscard]] std::string to_platform_xml(const Cluster& cluster);

}  // namespace gabra::sim
