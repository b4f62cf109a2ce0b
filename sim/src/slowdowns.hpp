// SPDX-License-Identifier: MIT
#pragma once

#include "engine.hpp"
#include "gabra/cluster/cluster.hpp"

#include <cstddef>
#include <vector>

namespace gabra::sim {

/// How fast each device computes while others of its machine compute and while it communicates: the product of
/// DeviceKind::communication_slowdown and of the share of DeviceKind::neighbour_slowdown, as levels of the platform.
class Slowdowns {
 public:
  /// By device, what Platform is to know.
  [[nodiscard]] static std::vector<std::vector<double>> levels(const Cluster& cluster);

  Slowdowns(const Cluster& cluster, Platform& platform);

  void compute_begins(DeviceId device) { change_busy(device, 1); }
  void compute_ends(DeviceId device) { change_busy(device, -1); }
  void communication(DeviceId device, bool is_on);
  /// Nothing computes or communicates: inside a run or after it.
  void reset();

 private:
  struct State {
    bool has_communication = false;  ///< levels for it
    bool has_neighbours = false;
    bool is_communicating = false;
    std::size_t machine = 0;
  };
  struct Machine {
    std::vector<std::size_t> devices;
    int busy = 0;
    bool is_shared = false;  ///< some device of it minds
  };

  void change_busy(DeviceId device, int change);
  void apply(std::size_t device);

  Platform& platform_;
  std::vector<State> states_;
  std::vector<Machine> machines_;
  std::vector<bool> is_busy_;
};

}  // namespace gabra::sim
