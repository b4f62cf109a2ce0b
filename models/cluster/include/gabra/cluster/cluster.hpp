// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/device_kind.hpp"
#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gabra {

struct Device {
  std::string name;
  DeviceKindId kind;
  int node = 0;  ///< the machine it stands in, counted from 0
};

/// A point of the cluster graph. The first vertices are the devices, in order; then switches and host bridges.
/// `node` is -1 for a vertex between machines (the fabric).
struct Vertex {
  std::string name;
  int node = 0;
  bool is_device = false;
};

/// One direction of a cable or bus.
struct Link {
  std::string name;
  VertexId from;
  VertexId to;
  BytesPerSecond bandwidth{1.0};  ///< what programs reach, efficiency already applied
  Seconds latency;
  int lanes = 1;             ///< parallel cables: as many rings fit (bandwidth is of all lanes together)
  bool is_fat_pipe = false;  ///< every flow gets the whole bandwidth (backbone of a switch)
  bool is_nvlink = false;    ///< rings of an all-reduce prefer such links
};

/// A path between two devices.
struct Route {
  std::vector<LinkId> links;
  Seconds latency;                ///< sum over the links
  BytesPerSecond bandwidth{0.0};  ///< of the narrowest link
};

/// A path that is given instead of found, for one pair of devices. Its links need not be adjacent in the graph.
struct StatedRoute {
  DeviceId from;
  DeviceId to;
  std::vector<LinkId> links;
};

/// How an all-reduce behaves beyond the bandwidth of its links (fit in experiments/collectives). With n devices, S
/// bytes and B the sum over the rings:
///   time = launch + 2(n-1) step + (2(n-1) + round_overhead)/n x S/B x e
/// where e = 1 + (half_bytes/S)^exponent, or 1/low_latency_share while the piece that a device sends per step of a
/// ring, S / (n x rings), is below switch_bytes: there NCCL runs a protocol of lower latency and lower bandwidth.
/// Trees where the links allow no ring: launch + 2 depth step + S/B x e / tree_efficiency, B the sum over the trees.
struct CollectiveParameters {
  Seconds launch;                  ///< c0
  Seconds step;                    ///< a, per step of a ring
  double round_overhead = 0.0;     ///< k
  Bytes half_bytes;                ///< s0
  double exponent = 1.0;           ///< q
  double low_latency_share = 1.0;  ///< of the bandwidth, reached by the low-latency protocol
  Bytes switch_bytes;              ///< per step and ring; 0: one protocol for all sizes
  double tree_efficiency = 1.0;
  std::string source;

  bool operator==(const CollectiveParameters&) const = default;
};

/// Devices, the graph that joins them, and how collectives run on it. Immutable after build().
class Cluster {
 public:
  struct Description {
    std::string name;
    std::vector<DeviceKind> kinds;
    std::vector<Device> devices;
    std::vector<Vertex> switches;     ///< numbered after the devices
    std::vector<Link> links;          ///< one per direction
    std::vector<StatedRoute> routes;  ///< exceptions from route()'s rule, at most one per pair
    CollectiveParameters collective;
    std::vector<std::string> sources;  ///< where topology and link figures come from
  };

  /// Checks and freezes. Throws InputError with every fault (`place` names the source): no device, duplicate names,
  /// dangling ids, unreachable devices, rates that are zero.
  static Cluster build(Description description, const std::string& place);

  [[nodiscard]] const std::string& name() const { return description_.name; }
  [[nodiscard]] const Description& description() const { return description_; }
  [[nodiscard]] std::size_t device_count() const { return description_.devices.size(); }
  [[nodiscard]] const Device& device(DeviceId id) const { return description_.devices[id.index()]; }
  [[nodiscard]] const DeviceKind& kind(DeviceKindId id) const { return description_.kinds[id.index()]; }
  [[nodiscard]] const DeviceKind& kind_of(DeviceId id) const { return kind(device(id).kind); }
  [[nodiscard]] std::span<const Link> links() const { return description_.links; }
  [[nodiscard]] const Link& link(LinkId id) const { return description_.links[id.index()]; }
  [[nodiscard]] bool is_calibrated() const;  ///< every kind of device is

  /// The stated path, if there is one for this pair; else the path with the highest bandwidth among those with the
  /// fewest links (ties by link order) that passes no third device: GPUs without an NVLink between them talk over PCIe.
  /// Between two machines it goes through the fabric. `from` != `to`. Computed once per pair; not safe to call from
  /// several threads.
  [[nodiscard]] const Route& route(DeviceId from, DeviceId to) const;

  /// For each device the lowest device it can be swapped with without any visible change: equal kind and machine, equal
  /// links to the same devices and, up to a renumbering of switches, through the same switches. Plans that differ by
  /// such a swap cost the same where links are not contended.
  [[nodiscard]] std::span<const DeviceId> interchange_classes() const { return interchange_classes_; }

  /// Hash of everything that decides times and memory.
  [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  Cluster() = default;
  /// The route over `links`, of which there is at least one.
  [[nodiscard]] Route along(std::vector<LinkId> links) const;
  [[nodiscard]] Route find_route(DeviceId from, DeviceId to) const;

  Description description_;
  std::vector<std::vector<LinkId>> outgoing_;  // by vertex
  std::vector<DeviceId> interchange_classes_;
  std::uint64_t fingerprint_ = 0;
  mutable std::vector<std::unique_ptr<Route>> routes_;  // by from * device_count + to
};

}  // namespace gabra
