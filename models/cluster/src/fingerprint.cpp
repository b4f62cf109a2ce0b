// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"

#include "checks.hpp"

#include <bit>

namespace gabra::detail {
namespace {

class Hash {
 public:
  void add(std::uint64_t value) { state_ = mix_bits(state_ ^ mix_bits(value)); }
  void add(std::int64_t value) { add(static_cast<std::uint64_t>(value)); }
  void add(int value) { add(static_cast<std::int64_t>(value)); }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value + 0.0)); }  // -0 as +0
  template <class Tag, class Rep>
  void add(Quantity<Tag, Rep> value) {
    add(value.value());
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0x67616272612f31ULL;
};

void add_kind(const DeviceKind& kind, Hash& hash) {
  hash.add(kind.peak_float32);
  hash.add(kind.peak_bfloat16);
  hash.add(kind.memory);
  hash.add(kind.base_memory);
  hash.add(kind.memory_bandwidth);
  hash.add(kind.launch);
  hash.add(kind.idle_power);
  hash.add(kind.busy_power);
  hash.add(kind.communication_slowdown);
  for (const Efficiency& efficiency : kind.efficiency) {
    hash.add(efficiency.flops);
    hash.add(efficiency.bandwidth);
    hash.add(efficiency.half_rows);
  }
}

}  // namespace

std::uint64_t fingerprint_of(const Cluster::Description& description) {
  Hash hash;
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
