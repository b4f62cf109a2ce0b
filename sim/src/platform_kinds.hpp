// SPDX-License-Identifier: MIT
#pragma once

#include "platform_graph.hpp"

#include <string>

namespace gabra::sim {

/// Name, kinds, devices and collectives of the cluster, without its links. Throws InputError for properties whose value
/// is not what it should be.
[[nodiscard]] Cluster::Description describe_devices(const PlatformFacts& facts, const std::string& path);

/// Sets what the cables' properties say of the first links of `description`. Throws InputError like describe_devices().
void apply_link_properties(const PlatformFacts& facts, const std::string& path, Cluster::Description& description);

}  // namespace gabra::sim
