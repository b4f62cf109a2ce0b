// SPDX-License-Identifier: MIT
#include "checks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string_view>

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
  void new_name(const std::string& name, std::set<std::string>& names) {
    require(!name.empty(), "name", "an empty name", "a name");
    if (!name.empty()) require(names.insert(name).second, "name", in_quotes(name) + " twice", "each name once");
  }

 private:
  static std::string number(double value) { return fmt::format("the number {}", value); }

  std::string place_;
  FaultList& faults_;
};

void check_kind(const DeviceKind& kind, PartChecks part) {
  part.positive(kind.peak_float32.value(), "peak_float32");
  part.positive(kind.peak_bfloat16.value(), "peak_bfloat16");
  part.positive(static_cast<double>(kind.memory.value()), "memory");
  part.require(kind.base_memory.value() >= 0 && kind.base_memory < kind.memory, "base_memory",
               to_text(kind.base_memory), "zero or more, and less than the memory of " + to_text(kind.memory));
  part.positive(kind.memory_bandwidth.value(), "memory_bandwidth");
  part.non_negative(kind.launch.value(), "launch");
  part.non_negative(kind.idle_power.value(), "idle_power");
  part.non_negative(kind.busy_power.value(), "busy_power");
  const double slowdown = kind.communication_slowdown;
  part.require(std::isfinite(slowdown) && slowdown >= 1.0, "communication_slowdown",
               fmt::format("the number {}", slowdown), "a finite number from 1");
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

void check_links(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  const auto vertices = static_cast<std::int32_t>(description.devices.size() + description.switches.size());
  std::set<std::string> names;
  for (std::size_t i = 0; i < description.links.size(); ++i) {
    const Link& link = description.links[i];
    PartChecks part(places.link(i), faults);
    part.new_name(link.name, names);
    const auto is_vertex = [vertices](VertexId id) { return id.value() >= 0 && id.value() < vertices; };
    const std::string allowed = fmt::format("a device or switch, from 0 to {}", vertices - 1);
    part.require(is_vertex(link.from), "from", fmt::format("vertex {}", link.from.value()), allowed);
    part.require(is_vertex(link.to), "to", fmt::format("vertex {}", link.to.value()), allowed);
    if (is_vertex(link.from))
      part.require(link.from != link.to, "to", "the vertex that it comes from", "another vertex");
    part.positive(link.bandwidth.value(), "bandwidth");
    part.non_negative(link.latency.value(), "latency");
    part.require(link.lanes >= 1, "lanes", fmt::format("the number {}", link.lanes), "a whole number from 1");
  }
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

void check_reachability(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  const auto outgoing = outgoing_links(description);
  for (std::size_t from = 0; from < description.devices.size(); ++from) {
    const std::vector<bool> is_reached = reached_from(from, description, outgoing);
    for (std::size_t to = 0; to < description.devices.size(); ++to)
      if (!is_reached[to])
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

}  // namespace

DescriptionPlaces places_by_name(const Cluster::Description& description, const std::string& place) {
  const auto named = [&description, place](std::string_view what, const auto& parts) {
    return [place, what, &parts](std::size_t i) {
      return fmt::format("{}: {} {}", place, what, in_quotes(parts[i].name));
    };
  };
  return {.kind = named("device kind", description.kinds),
          .device = named("device", description.devices),
          .vertex = named("switch", description.switches),
          .link = named("link", description.links),
          .whole = place};
}

void check_description(const Cluster::Description& description, const DescriptionPlaces& places, FaultList& faults) {
  std::set<std::string> kind_names;
  for (std::size_t i = 0; i < description.kinds.size(); ++i) {
    PartChecks part(places.kind(i), faults);
    part.new_name(description.kinds[i].name, kind_names);
    check_kind(description.kinds[i], part);
  }
  if (description.devices.empty()) faults.add(places.whole, "no device", "at least one device");
  std::set<std::string> names;
  for (std::size_t i = 0; i < description.devices.size(); ++i) {
    const Device& device = description.devices[i];
    PartChecks part(places.device(i), faults);
    part.new_name(device.name, names);
    part.require(device.node >= 0, "node", fmt::format("the number {}", device.node), "a whole number from 0");
    part.require(device.kind.is_valid() && device.kind.index() < description.kinds.size(), "kind",
                 fmt::format("kind {}", device.kind.value()),
                 fmt::format("a device kind, one of {}", description.kinds.size()));
  }
  for (std::size_t i = 0; i < description.switches.size(); ++i) {
    PartChecks part(places.vertex(i), faults);
    part.new_name(description.switches[i].name, names);
    const int node = description.switches[i].node;
    part.require(node >= -1, "node", fmt::format("the number {}", node),
                 "a whole number from 0, or -1 between machines");
  }
  check_links(description, places, faults);
  check_collective(description.collective, PartChecks(places.whole + ": collective", faults));
  if (faults.empty()) check_reachability(description, places, faults);
}

std::vector<std::vector<LinkId>> outgoing_links(const Cluster::Description& description) {
  std::vector<std::vector<LinkId>> outgoing(description.devices.size() + description.switches.size());
  for (std::size_t i = 0; i < description.links.size(); ++i)
    outgoing[description.links[i].from.index()].push_back(LinkId(i));
  return outgoing;
}

}  // namespace gabra::detail
