// SPDX-License-Identifier: MIT
#include "gabra/core/hasher.hpp"

#include "checks.hpp"

namespace gabra::detail {
namespace {

void add_kind(const DeviceKind& kind, Hasher& hash) {
  hash.add(kind.peak_float32);
  hash.add(kind.peak_bfloat16);
  hash.add(kind.memory);
  hash.add(kind.base_memory);
  hash.add(kind.memory_bandwidth);
  hash.add(kind.launch);
  hash.add(static_cast<std::int64_t>(kind.launch_ahead));
  hash.add(kind.idle_power);
  hash.add(kind.busy_power);
  hash.add(kind.communication_slowdown);
  for (const std::optional<double>& slowdown : {kind.receive_slowdown, kind.send_slowdown})
    if (slowdown) hash.add(*slowdown);
  hash.add(kind.neighbour_slowdown);
  hash.add(kind.instruction_overhead);
  hash.add(kind.step_overhead);
  if (kind.copies_layout) hash.add(std::int64_t{1});
  hash.add(kind.update_bandwidth);
  for (const Efficiency& efficiency : kind.efficiency) {
    hash.add(efficiency.flops);
    hash.add(efficiency.bandwidth);
    hash.add(efficiency.half_rows);
  }
}

}  // namespace

std::uint64_t fingerprint_of(const Cluster::Description& description) {
  Hasher hash;
  hash.add(std::uint64_t{description.devices.size()});
  hash.add(std::uint64_t{description.switches.size()});
  for (const Device& device : description.devices) {
    add_kind(description.kinds[device.kind.index()], hash);
    hash.add(device.node);
  }
  for (const Vertex& vertex : description.switches) hash.add(vertex.node);
  for (const Link& link : description.links) {
    hash.add(link.from.value());
    hash.add(link.to.value());
    hash.add(link.bandwidth);
    hash.add(link.latency);
    hash.add(link.lanes);
    hash.add((link.is_fat_pipe ? 1 : 0) + (link.is_nvlink ? 2 : 0));
  }
  for (const StatedRoute& route : description.routes) {
    hash.add(route.from.value());
    hash.add(route.to.value());
    hash.add(std::uint64_t{route.links.size()});
    for (const LinkId link : route.links) hash.add(link.value());
  }
  const CollectiveParameters& collective = description.collective;
  hash.add(collective.launch);
  hash.add(collective.step);
  hash.add(collective.round_overhead);
  hash.add(collective.half_bytes);
  hash.add(collective.exponent);
  hash.add(collective.low_latency_share);
  hash.add(collective.switch_bytes);
  hash.add(collective.tree_efficiency);
  return hash.value();
}

}  // namespace gabra::detail
