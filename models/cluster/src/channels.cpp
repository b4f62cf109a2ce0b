// SPDX-License-Identifier: MIT
#include "channels.hpp"

#include "packing.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace gabra::detail {
namespace {

using Devices = std::vector<DeviceId>;
using Edges = std::vector<std::pair<DeviceId, DeviceId>>;

/// Direct NVLinks among the devices.
LaneMatrix nvlink_lanes(const Cluster& cluster, std::span<const DeviceId> devices) {
  LaneMatrix lanes(devices.size());
  const auto index_of = [&](VertexId vertex) {
    const auto found = std::lower_bound(devices.begin(), devices.end(), DeviceId(vertex.value()));
    const bool is_in = found != devices.end() && found->value() == vertex.value();
    return is_in ? static_cast<std::size_t>(found - devices.begin()) : devices.size();
  };
  for (const Link& link : cluster.links()) {
    if (!link.is_nvlink) continue;
    const std::size_t from = index_of(link.from);
    const std::size_t to = index_of(link.to);
    if (from < devices.size() && to < devices.size()) lanes.at(from, to) += link.lanes;
  }
  return lanes;
}

/// From the first device on, always to the nearest one left: fewest links, then highest bandwidth, then lowest number.
Tour nearest_neighbours(const Cluster& cluster, std::span<const DeviceId> devices) {
  Tour tour{0};
  std::vector<bool> is_used(devices.size(), false);
  is_used[0] = true;
  while (tour.size() < devices.size()) {
    using Distance = std::tuple<std::size_t, double, std::size_t>;
    Distance best{};
    bool is_first = true;
    for (std::size_t next = 0; next < devices.size(); ++next) {
      if (is_used[next]) continue;
      const Route& route = cluster.route(devices[tour.back()], devices[next]);
      const Distance distance{route.links.size(), -route.bandwidth.value(), next};
      if (is_first || distance < best) best = distance;
      is_first = false;
    }
    tour.push_back(std::get<2>(best));
    is_used[tour.back()] = true;
  }
  return tour;
}

void add_ring(const Tour& tour, std::span<const DeviceId> devices, Edges& edges) {
  for (std::size_t i = 0; i < tour.size(); ++i)
    edges.emplace_back(devices[tour[i]], devices[tour[(i + 1) % tour.size()]]);
}

/// The time that the busiest link takes for one byte on every edge.
double busiest_link(const Cluster& cluster, const Edges& edges) {
  std::map<LinkId, int> flows;
  for (const auto& [from, to] : edges)
    for (const LinkId id : cluster.route(from, to).links) ++flows[id];
  double worst = 0.0;
  for (const auto& [id, count] : flows) {
    const Link& link = cluster.link(id);
    worst = std::max(worst, (link.is_fat_pipe ? 1.0 : static_cast<double>(count)) / link.bandwidth.value());
  }
  return worst;
}

/// Inside a machine the fitted step, between machines at least the route's latency.
Seconds mean_step(const Cluster& cluster, const Edges& edges) {
  const Seconds fitted = cluster.description().collective.step;
  Seconds sum;
  for (const auto& [from, to] : edges) {
    const bool is_inside = cluster.device(from).node == cluster.device(to).node;
    sum += is_inside ? fitted : std::max(fitted, cluster.route(from, to).latency);
  }
  return sum / static_cast<double>(edges.size());
}

Channels trees_in_machine(const LaneMatrix& lanes, std::span<const DeviceId> devices) {
  Channels channels;
  channels.algorithm = CollectiveAlgorithm::Trees;
  for (const Tree& tree : pack_trees(lanes)) {
    ++channels.count;
    channels.height = std::max(channels.height, static_cast<double>(height(tree, devices.size())));
    for (const auto& [parent, child] : tree) {
      channels.edges.emplace_back(devices[child], devices[parent]);
      channels.edges.emplace_back(devices[parent], devices[child]);
    }
  }
  return channels;
}

Channels channels_in_machine(const Cluster& cluster, std::span<const DeviceId> devices) {
  const LaneMatrix lanes = nvlink_lanes(cluster, devices);
  Channels channels;
  channels.algorithm = CollectiveAlgorithm::Rings;
  if (!is_connected(lanes)) {
    channels.count = 1;
    add_ring(nearest_neighbours(cluster, devices), devices, channels.edges);
    return channels;
  }
  for (const Tour& ring : pack_rings(lanes)) {
    ++channels.count;
    add_ring(ring, devices, channels.edges);
  }
  return channels.count > 0 ? channels : trees_in_machine(lanes, devices);
}

/// The devices of one machine, with the ways in and out of it.
struct MachineGroup {
  Devices devices;
  Gates gates;
  std::vector<Tour> chains;
};

/// Numbers of things in the order in which they were first asked for.
class Numbering {
 public:
  std::size_t of(LinkId id) { return numbers_.emplace(id, numbers_.size()).first->second; }

 private:
  std::map<LinkId, std::size_t> numbers_;
};

/// A machine's gates are its links to and from the fabric (else the first and last of the route). `other` stands in
/// another machine.
Gates gates_of(const Cluster& cluster, const Devices& devices, DeviceId other) {
  const std::size_t device_count = cluster.device_count();
  const auto is_fabric = [&](VertexId vertex) {
    return vertex.index() >= device_count && cluster.description().switches[vertex.index() - device_count].node < 0;
  };
  Numbering entries;
  Numbering exits;
  Gates gates;
  for (const DeviceId device : devices) {
    const std::vector<LinkId>& out = cluster.route(device, other).links;
    const auto exit = std::find_if(out.begin(), out.end(), [&](LinkId id) { return is_fabric(cluster.link(id).to); });
    gates.exit.push_back(exits.of(exit == out.end() ? out.front() : *exit));
    const std::vector<LinkId>& in = cluster.route(other, device).links;
    const auto entry =
        std::find_if(in.rbegin(), in.rend(), [&](LinkId id) { return is_fabric(cluster.link(id).from); });
    gates.entry.push_back(entries.of(entry == in.rend() ? in.back() : *entry));
  }
  return gates;
}

/// Ways through a machine's devices that enter and leave by gates of their own: over its NVLinks where they join the
/// devices and have room, else from neighbour to neighbour, starting anywhere.
std::vector<Tour> chains_of(const Cluster& cluster, const MachineGroup& machine) {
  if (machine.devices.size() == 1) return {{0}};
  std::vector<Tour> chains = pack_chains(nvlink_lanes(cluster, machine.devices), machine.gates);
  if (!chains.empty()) return chains;
  std::vector<Tour> rotations{nearest_neighbours(cluster, machine.devices)};
  while (rotations.size() < machine.devices.size()) {
    rotations.push_back(rotations.back());
    std::rotate(rotations.back().begin(), rotations.back().begin() + 1, rotations.back().end());
  }
  return pack_through_gates(rotations, machine.gates);
}

std::vector<MachineGroup> machine_groups(const Cluster& cluster, std::span<const DeviceId> devices) {
  std::map<int, MachineGroup> by_node;
  for (const DeviceId device : devices) by_node[cluster.device(device).node].devices.push_back(device);
  std::vector<MachineGroup> machines;
  for (auto& [node, machine] : by_node) {
    const DeviceId other = node == by_node.begin()->first ? by_node.rbegin()->second.devices.front()
                                                          : by_node.begin()->second.devices.front();
    machine.gates = gates_of(cluster, machine.devices, other);
    machine.chains = chains_of(cluster, machine);
    machines.push_back(machine);
  }
  return machines;
}

/// `count` rings that pass every machine by one of its chains.
Edges rings_over(const std::vector<MachineGroup>& machines, std::size_t count) {
  Edges edges;
  for (std::size_t channel = 0; channel < count; ++channel) {
    Devices ring;
    for (const MachineGroup& machine : machines)
      for (const std::size_t index : machine.chains[channel % machine.chains.size()])
        ring.push_back(machine.devices[index]);
    for (std::size_t i = 0; i < ring.size(); ++i) edges.emplace_back(ring[i], ring[(i + 1) % ring.size()]);
  }
  return edges;
}

Channels channels_over_machines(const Cluster& cluster, std::span<const DeviceId> devices) {
  const std::vector<MachineGroup> machines = machine_groups(cluster, devices);
  std::size_t most = 1;
  for (const MachineGroup& machine : machines) most = std::max(most, machine.chains.size());
  Channels best;
  best.algorithm = CollectiveAlgorithm::Rings;
  double best_rate = 0.0;
  for (std::size_t count = 1; count <= most; ++count) {
    Edges edges = rings_over(machines, count);
    const double rate = static_cast<double>(count) / busiest_link(cluster, edges);
    if (rate <= best_rate * 1.01) continue;  // more rings only where they bring something
    best_rate = rate;
    best.count = static_cast<int>(count);
    best.edges = std::move(edges);
  }
  return best;
}

}  // namespace

Channels find_channels(const Cluster& cluster, std::span<const DeviceId> devices) {
  const bool is_one_machine = std::all_of(devices.begin(), devices.end(), [&](DeviceId device) {
    return cluster.device(device).node == cluster.device(devices.front()).node;
  });
  Channels channels = is_one_machine ? channels_in_machine(cluster, devices) : channels_over_machines(cluster, devices);
  channels.seconds_per_flow_byte = busiest_link(cluster, channels.edges);
  channels.step = mean_step(cluster, channels.edges);
  return channels;
}

}  // namespace gabra::detail
