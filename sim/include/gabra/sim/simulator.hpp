// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <memory>
#include <string>
#include <vector>

namespace gabra::sim {

/// What one simulated step gave.
struct Simulation {
  Timeline timeline;
  StepReport report;
};

/// Runs Programs on a SimGrid model of a cluster. SimGrid has one engine per process, hidden here; several clusters
/// may be simulated one after another in a process. The result of a Program depends on nothing that ran before, bit
/// for bit. Not safe to use from several threads.
class Simulator {
 public:
  /// Builds the platform. The cluster must outlive the simulator.
  explicit Simulator(const Cluster& cluster);
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;
  ~Simulator();

  [[nodiscard]] Simulation run(const Program& program);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace gabra::sim
