// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <memory>
#include <span>

namespace gabra::sim {

/// What one simulated step gave.
struct Simulation {
  Timeline timeline;
  StepReport report;
};

/// Runs Programs on a SimGrid model of a cluster. SimGrid has one engine per process, hidden here; any number of
/// simulators, of equal or different clusters, may be used in turn. The result of a Program depends on nothing that ran
/// before, bit for bit. Not safe to use from several threads, not even with a simulator each.
///
/// An instruction starts when all its predecessors are done; one of zero seconds is done at once. A Send and its
/// Receive are one flow over Cluster::route(), started `route.latency` after both may start. A collective is the flows
/// of CollectiveModel::all_reduce(), started together `layout.latency` after all members may start, and done with the
/// last of them. Flows that share a link share it equally, whatever their latencies. While a transfer or collective
/// touches a device (latency included), its compute takes DeviceKind::communication_slowdown times as long; while k of
/// the n other devices of its machine compute, 1 + (DeviceKind::neighbour_slowdown - 1) k / n times. The step ends
/// DeviceKind::step_overhead after its last instruction.
class Simulator {
 public:
  /// Builds the platform. The cluster must outlive the simulator.
  explicit Simulator(const Cluster& cluster);
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;
  ~Simulator();

  [[nodiscard]] const Cluster& cluster() const;
  /// The Program must be for this cluster and have passed find_violation().
  [[nodiscard]] Simulation run(const Program& program);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Seconds of one all-reduce of `size` bytes over `devices`, alone on the cluster. Throws InputError for a device that
/// does not exist or comes twice, and for none.
[[nodiscard]] Seconds simulate_all_reduce(Simulator& simulator, std::span<const DeviceId> devices, Bytes size);

}  // namespace gabra::sim
