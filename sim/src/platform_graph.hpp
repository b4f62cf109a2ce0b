// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace gabra::sim {

using Properties = std::map<std::string, std::string, std::less<>>;

/// What SimGrid's loader made of a platform file.
struct PlatformFacts {
  struct Host {
    std::string name;
    double speed = 0.0;  ///< flops per second of all cores
    Properties properties;
  };
  struct Cable {
    std::string name;
    double bandwidth = 0.0;
    double latency = 0.0;
    bool is_fat_pipe = false;
    Properties properties;
  };
  struct Path {
    std::vector<std::size_t> cables;
    double latency = 0.0;
  };

  std::vector<Host> hosts;
  std::vector<Cable> cables;
  std::vector<Path> paths;  ///< by from * hosts + to
  Properties properties;    ///< of the whole platform
};

/// The cluster of these hosts whose routes are these paths. SimGrid's links have no ends: the ends that paths imply are
/// merged; where the graph that this gives does not find every path again (detours), the routes are stated one by one.
/// Throws InputError (place `path`): hosts without a path, latencies that are not the links'.
[[nodiscard]] Cluster to_cluster(const PlatformFacts& facts, const std::string& path);

}  // namespace gabra::sim
