// SPDX-License-Identifier: MIT
#include "platform_graph.hpp"

#include "gabra/core/error.hpp"

#include "platform_kinds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

namespace gabra::sim {
namespace {

/// Sets of points that are the same vertex.
class Merger {
 public:
  explicit Merger(std::size_t count) : parents_(count) { std::iota(parents_.begin(), parents_.end(), std::size_t{0}); }

  std::size_t find(std::size_t point) {
    while (parents_[point] != point) point = parents_[point] = parents_[parents_[point]];
    return point;
  }
  /// The lower number represents the set, so hosts, which come first, do.
  void merge(std::size_t a, std::size_t b) {
    a = find(a);
    b = find(b);
    parents_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::size_t> parents_;
};

/// Points: the hosts, then the tail and the head of each cable.
struct Points {
  explicit Points(const PlatformFacts& facts) : hosts(facts.hosts.size()) {}
  [[nodiscard]] std::size_t tail(std::size_t cable) const { return hosts + 2 * cable; }
  [[nodiscard]] std::size_t head(std::size_t cable) const { return hosts + 2 * cable + 1; }
  std::size_t hosts;
};

/// Every pair of points that some path passes one after the other without a cable in between.
std::set<std::pair<std::size_t, std::size_t>> joints(const PlatformFacts& facts) {
  const Points points(facts);
  std::set<std::pair<std::size_t, std::size_t>> all;
  for (std::size_t i = 0; i < facts.paths.size(); ++i) {
    std::size_t at = i / facts.hosts.size();
    const std::size_t to = i % facts.hosts.size();
    if (at == to) continue;
    for (const std::size_t cable : facts.paths[i].cables) {
      all.emplace(at, points.tail(cable));
      at = points.head(cable);
    }
    all.emplace(at, to);
  }
  return all;
}

Link link_of(const PlatformFacts::Cable& cable, VertexId from, VertexId to) {
  Link link;
  link.name = cable.name;
  link.from = from;
  link.to = to;
  link.bandwidth = BytesPerSecond(cable.bandwidth);
  link.latency = Seconds(cable.latency);
  link.is_fat_pipe = cable.is_fat_pipe;
  return link;
}

void add_switches(Cluster::Description& description, std::size_t vertices) {
  while (description.devices.size() + description.switches.size() < vertices) {
    const std::string name = fmt::format("switch {}", description.switches.size());
    description.switches.push_back({.name = name, .node = 0, .is_device = false});
  }
}

/// Cables with merged ends; none when that joins two hosts or the two ends of a cable.
std::optional<Cluster::Description> merged(const PlatformFacts& facts, Cluster::Description description) {
  const Points points(facts);
  Merger merger(points.hosts + 2 * facts.cables.size());
  for (const auto& [a, b] : joints(facts)) merger.merge(a, b);
  std::map<std::size_t, std::size_t> vertices;  // of each set
  for (std::size_t host = 0; host < points.hosts; ++host) {
    if (!vertices.emplace(merger.find(host), host).second) return std::nullopt;
  }
  const auto vertex = [&](std::size_t point) {
    return VertexId(vertices.emplace(merger.find(point), vertices.size()).first->second);
  };
  for (std::size_t i = 0; i < facts.cables.size(); ++i) {
    const VertexId from = vertex(points.tail(i));
    const VertexId to = vertex(points.head(i));
    if (from == to) return std::nullopt;
    description.links.push_back(link_of(facts.cables[i], from, to));
  }
  add_switches(description, vertices.size());
  return description;
}

/// Cables with ends of their own that join nothing; every route is stated.
Cluster::Description stated(const PlatformFacts& facts, Cluster::Description description) {
  const Points points(facts);
  for (std::size_t i = 0; i < facts.cables.size(); ++i) {
    description.links.push_back(link_of(facts.cables[i], VertexId(points.tail(i)), VertexId(points.head(i))));
  }
  for (std::size_t i = 0; i < facts.paths.size(); ++i) {
    StatedRoute route{.from = DeviceId(i / facts.hosts.size()), .to = DeviceId(i % facts.hosts.size()), .links = {}};
    if (route.from == route.to) continue;
    for (const std::size_t cable : facts.paths[i].cables) route.links.emplace_back(cable);
    description.routes.push_back(std::move(route));
  }
  add_switches(description, points.hosts + 2 * facts.cables.size());
  return description;
}

/// Whether the cluster finds every path, or one as good: as many cables, as fast, as wide.
bool finds_paths(const PlatformFacts& facts, const Cluster& cluster) {
  for (std::size_t i = 0; i < facts.paths.size(); ++i) {
    const DeviceId from(i / facts.hosts.size());
    const DeviceId to(i % facts.hosts.size());
    if (from == to) continue;
    const PlatformFacts::Path& path = facts.paths[i];
    const Route& route = cluster.route(from, to);
    std::vector<std::size_t> cables;
    for (const LinkId link : route.links) cables.push_back(link.index());
    if (cables == path.cables) continue;
    double narrowest = facts.cables[path.cables.front()].bandwidth;
    for (const std::size_t cable : path.cables) narrowest = std::min(narrowest, facts.cables[cable].bandwidth);
    const bool is_as_fast = std::abs(route.latency.value() - path.latency) <= 1e-12 * path.latency;
    if (cables.size() != path.cables.size() || !is_as_fast || route.bandwidth.value() != narrowest) return false;
  }
  return true;
}

void check_paths(const PlatformFacts& facts, const std::string& path) {
  FaultList faults;
  for (std::size_t i = 0; i < facts.paths.size(); ++i) {
    const std::size_t from = i / facts.hosts.size();
    const std::size_t to = i % facts.hosts.size();
    if (from == to) continue;
    double latency = 0.0;
    for (const std::size_t cable : facts.paths[i].cables) latency += facts.cables[cable].latency;
    const std::string where = fmt::format("{}: route from {} to {}", path, in_quotes(facts.hosts[from].name),
                                          in_quotes(facts.hosts[to].name));
    if (facts.paths[i].cables.empty()) faults.add(where, "no link", "at least one link between any two hosts");
    if (std::abs(latency - facts.paths[i].latency) > 1e-9 * latency + 1e-15) {
      faults.add(where, "a latency that is not the sum over its links", "a zone type whose latencies are its links'");
    }
  }
  faults.throw_if_any();
}

}  // namespace

Cluster to_cluster(const PlatformFacts& facts, const std::string& path) {
  check_paths(facts, path);
  const Cluster::Description devices = describe_devices(facts, path);
  const auto finish = [&](Cluster::Description description) {
    apply_link_properties(facts, path, description);
    return Cluster::build(std::move(description), path);
  };
  if (std::optional<Cluster::Description> description = merged(facts, devices)) {
    try {
      Cluster cluster = finish(*std::move(description));
      if (finds_paths(facts, cluster)) return cluster;
    } catch (const InputError&) {
      // Paths through hosts: routes that a cluster finds pass switches only. What else is wrong shows below, too.
    }
  }
  return finish(stated(facts, devices));
}

}  // namespace gabra::sim
