// SPDX-License-Identifier: MIT
#include "checks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string_view>
#include <utility>

namespace gabra::detail {
namespace {

/// Faults of one part: `place` with the name of the field behind it.
class PartChecks {
 public:
  PartChecks(std::string place, FaultList& faults) : place_(std::move(place)), faults_(faults) {}

  void require(bool holds, std::string_view field, const std::string& seen, std::string_view allowed) {
    if (!holds) faults_.add(fmt::format("{}.{}", place_, field), seen, std::string(allowed));
  }
  void positive(double value, std::string_view field) {
    require(std::isfinite(value) && value > 0.0, field, number(value), "a finite value above zero");
  }
  void non_negative(double value, std::string_view field) {
    require(std::isfinite(value) && value >= 0.0, field, number(value), "a finite value, zero or more");
  }
  /// Whether it is one.
  bool new_name(const std::string& name, std::set<std::string>& names) {
    require(!name.empty(), "name", "an empty name", "a name");
    const bool is_new = names.insert(name).second;
    if (!name.empty()) require(is_new, "name", in_quotes(name) + " twice", "each name once");
    return is_new;
  }

 private:
  static std::string number(double value) { return fmt::format("the number {}", value); }

  std::string place_;
  FaultList& faults_;
};

void check_kind(const DeviceKind& kind, PartChecks part) {
  part.positive(kind.peak_float32.value(), "peak_float32");
  if (kind.peak_bfloat16 != kind.peak_float32) part.positive(kind.peak_bfloat16.value(), "peak_bfloat16");
  part.positive(static_cast<double>(kind.memory.value()), "memory");
  part.require(kind.base_memory.value() >= 0 && kind.base_memory < kind.memory, "base_memory",
               to_text(kind.base_memory), "zero or more, and less than the memory of " + to_text(kind.memory));
  part.positive(kind.memory_bandwidth.value(), "memory_bandwidth");
  part.non_negative(kind.launch.value(), "launch");
  part.non_negative(kind.idle_power.value(), "idle_power");
  part.non_negative(kind.busy_power.value(), "busy_power");
  for (const auto& [slowdown, field] : {std::pair{kind.communication_slowdown, "communication_slowdown"},
                                        std::pair{kind.receive_slowdown.value_or(1.0), "receive_slowdown"},
                                        std::pair{kind.send_slowdown.value_or(1.0), "send_slowdown"},
                                        std::pair{kind.neighbour_slowdown, "neighbour_slowdown"}})
    part.require(std::isfinite(slowdown) && slowdown >= 1.0, field, fmt::format("the number {}", slowdown),
                 "a finite number from 1");
  part.non_negative(kind.instruction_overhead.value(), "instruction_overhead");
  part.non_negative(kind.step_overhead.value(), "step_overhead");
  part.non_negative(kind.update_bandwidth.value(), "update_bandwidth");
  for (std::size_t i = 0; i < kComputeClassCount; ++i) {
    const Efficiency& efficiency = kind.efficiency[i];
    const auto field = [i](std::string_view name) {
      return fmt::format("efficiency.{}.{}", kComputeClassNames[i], name);
    };
    part.positive(efficiency.flops, field("flops"));
    part.positive(efficiency.bandwidth, field("bandwidth"));
    part.non_negative(efficiency.half_rows, field("half_rows"));
  }
}

/// Whether every link joins two vertices.
bool check_links(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  const auto vertices = static_cast<std::int32_t>(description.devices.size() + description.switches.size());
  std::set<std::string> names;
  bool is_sound = true;
  std::string previous_place;
  for (std::size_t i = 0; i < description.links.size(); ++i) {
    const Link& link = description.links[i];
    std::string place = places.link(i);
    const bool is_way_back = place == previous_place;  // of one link in the file: its values were looked at
    previous_place = place;
    PartChecks part(std::move(place), faults);
    part.new_name(link.name, names);
    if (is_way_back) continue;
    const auto is_vertex = [vertices](VertexId id) { return id.value() >= 0 && id.value() < vertices; };
    const std::string allowed = fmt::format("a device or switch, from 0 to {}", vertices - 1);
    is_sound = is_sound && is_vertex(link.from) && is_vertex(link.to);
    part.require(is_vertex(link.from), "from", fmt::format("vertex {}", link.from.value()), allowed);
    part.require(is_vertex(link.to), "to", fmt::format("vertex {}", link.to.value()), allowed);
    if (is_vertex(link.from))
      part.require(link.from != link.to, "to", "the vertex that it comes from", "another vertex");
    part.positive(link.bandwidth.value(), "bandwidth");
    part.non_negative(link.latency.value(), "latency");
    part.require(link.lanes >= 1, "lanes", fmt::format("the number {}", link.lanes), "a whole number from 1");
  }
  return is_sound;
}

/// Devices that `from` reaches without passing a third device.
std::vector<bool> reached_from(std::size_t from, const Cluster::Description& description,
                               const std::vector<std::vector<LinkId>>& outgoing) {
  std::vector<bool> is_reached(outgoing.size(), false);
  is_reached[from] = true;
  std::vector<std::size_t> open{from};
  while (!open.empty()) {
    const std::size_t vertex = open.back();
    open.pop_back();
    for (const LinkId id : outgoing[vertex]) {
      const std::size_t to = description.links[id.index()].to.index();
      if (is_reached[to]) continue;
      is_reached[to] = true;
      if (to >= description.devices.size()) open.push_back(to);
    }
  }
  return is_reached;
}

/// Whether the routes given are between devices, over links. Marks the pairs that have one.
bool check_routes(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults,
                  std::set<std::pair<std::size_t, std::size_t>>& pairs) {
  const std::size_t devices = description.devices.size();
  bool is_sound = true;
  for (std::size_t i = 0; i < description.routes.size(); ++i) {
    const StatedRoute& route = description.routes[i];
    PartChecks part(places.route(i), faults);
    const bool has_ends = route.from.is_valid() && route.from.index() < devices && route.to.is_valid() &&
                          route.to.index() < devices && route.from != route.to;
    part.require(has_ends, "to", fmt::format("from device {} to device {}", route.from.value(), route.to.value()),
                 "two different devices");
    part.require(!route.links.empty(), "links", "no link", "at least one link");
    bool has_links = true;
    for (const LinkId link : route.links)
      has_links = has_links && link.is_valid() && link.index() < description.links.size();
    part.require(has_links, "links", "a link that is not there", "links of the cluster");
    is_sound = is_sound && has_ends && has_links;
    if (has_ends)
      part.require(pairs.emplace(route.from.index(), route.to.index()).second, "to", "a second route for this pair",
                   "one route for each pair");
  }
  return is_sound;
}

void check_reachability(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults,
                        const std::set<std::pair<std::size_t, std::size_t>>& routed) {
  const auto outgoing = outgoing_links(description);
  for (std::size_t from = 0; from < description.devices.size(); ++from) {
    const std::vector<bool> is_reached = reached_from(from, description, outgoing);
    for (std::size_t to = 0; to < description.devices.size(); ++to)
      if (!is_reached[to] && !routed.contains({from, to}))
        faults.add(places.device(to), "no way to it from device " + in_quotes(description.devices[from].name),
                   "links or switches between every two devices, with no third device in between");
  }
}

void check_collective(const CollectiveParameters& collective, PartChecks part) {
  part.non_negative(collective.launch.value(), "launch");
  part.non_negative(collective.step.value(), "step");
  part.non_negative(collective.round_overhead, "round_overhead");
  part.non_negative(static_cast<double>(collective.half_bytes.value()), "half_bytes");
  part.positive(collective.exponent, "exponent");
  part.positive(collective.low_latency_share, "low_latency_share");
  part.non_negative(static_cast<double>(collective.switch_bytes.value()), "switch_bytes");
  part.positive(collective.tree_efficiency, "tree_efficiency");
}

bool check_sizes(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  const auto at_most = [&faults](const std::string& place, std::size_t count, std::size_t most) {
    if (count > most) faults.add(place, fmt::format("a list of {}", count), fmt::format("at most {}", most));
    return count <= most;
  };
  const bool has_few_devices = at_most(places.devices, description.devices.size(), kMostDevices);
  const bool has_few_switches = at_most(places.switches, description.switches.size(), kMostSwitches);
  return at_most(places.links, description.links.size(), kMostLinks) && has_few_devices && has_few_switches;
}

void check_kinds(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < description.kinds.size(); ++i) {
    PartChecks part(places.kind(i), faults);
    part.new_name(description.kinds[i].name, names);
    check_kind(description.kinds[i], part);
  }
}

/// Whether the devices and switches can be told apart.
bool check_vertices(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults,
                    bool is_whole) {
  if (description.devices.empty()) faults.add(places.devices, "no device", "at least one device");
  std::set<std::string> names;
  bool is_distinct = true;
  for (std::size_t i = 0; i < description.devices.size(); ++i) {
    const Device& device = description.devices[i];
    PartChecks part(places.device(i), faults);
    is_distinct = part.new_name(device.name, names) && is_distinct;
    part.require(device.node >= 0, "node", fmt::format("the number {}", device.node), "a whole number from 0");
    const bool has_kind = device.kind.is_valid() && device.kind.index() < description.kinds.size();
    part.require(has_kind || !is_whole, "kind", fmt::format("kind {}", device.kind.value()),
                 fmt::format("a device kind, one of {}", description.kinds.size()));
  }
  for (std::size_t i = 0; i < description.switches.size(); ++i) {
    PartChecks part(places.vertex(i), faults);
    is_distinct = part.new_name(description.switches[i].name, names) && is_distinct;
    const int node = description.switches[i].node;
    part.require(node >= -1, "node", fmt::format("the number {}", node),
                 "a whole number from 0, or -1 between machines");
  }
  return is_distinct;
}

}  // namespace

DescriptionPlaces places_by_name(const Cluster::Description& description, const std::string& place) {
  const auto named = [place](std::string_view what, const auto& parts) {
    return [place, what, &parts](std::size_t i) {
      return fmt::format("{}: {} {}", place, what, in_quotes(parts[i].name));
    };
  };
  return {.kind = named("device kind", description.kinds),
          .device = named("device", description.devices),
          .vertex = named("switch", description.switches),
          .link = named("link", description.links),
          .route = [place](std::size_t i) { return fmt::format("{}: route {}", place, i); },
          .devices = place + ": devices",
          .switches = place + ": switches",
          .links = place + ": links",
          .collective = place + ": collective"};
}

void check_description(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults,
                       bool is_whole) {
  if (!check_sizes(description, places, faults)) return;
  check_kinds(description, places, faults);
  const bool has_vertices = check_vertices(description, places, faults, is_whole);
  const bool has_links = check_links(description, places, faults);
  check_collective(description.collective, PartChecks(places.collective, faults));
  std::set<std::pair<std::size_t, std::size_t>> routed;
  const bool has_routes = check_routes(description, places, faults, routed);
  if (is_whole && has_vertices && has_links && has_routes) check_reachability(description, places, faults, routed);
}

std::vector<std::vector<LinkId>> outgoing_links(const Cluster::Description& description) {
  std::vector<std::vector<LinkId>> outgoing(description.devices.size() + description.switches.size());
  for (std::size_t i = 0; i < description.links.size(); ++i)
    outgoing[description.links[i].from.index()].push_back(LinkId(i));
  return outgoing;
}

}  // namespace gabra::detail
