// SPDX-License-Identifier: MIT
#pragma once

#include "engine.hpp"
#include "gabra/cluster/cluster.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gabra::sim {

/// What a device communicates; where it does several things at once, the first of these that goes on decides.
enum class Traffic : std::uint8_t { Collective, Receive, Send };
constexpr std::size_t kTrafficKinds = 3;

/// How fast each device computes while others of its machine compute and while it communicates: the product of
/// DeviceKind::communication_slowdown (receive_slowdown, send_slowdown) and of the share of
/// DeviceKind::neighbour_slowdown, as levels of the platform.
class Slowdowns {
 public:
  /// By device, what Platform is to know.
  [[nodiscard]] static std::vector<std::vector<double>> levels(const Cluster& cluster);

  Slowdowns(const Cluster& cluster, Platform& platform);

  void compute_begins(DeviceId device) { change_busy(device, 1); }
  void compute_ends(DeviceId device) { change_busy(device, -1); }
  void communication_begins(DeviceId device, Traffic traffic) { change_traffic(device, traffic, 1); }
  void communication_ends(DeviceId device, Traffic traffic) { change_traffic(device, traffic, -1); }
  /// Nothing computes or communicates: inside a run or after it.
  void reset();

 private:
  struct State {
    bool has_communication = false;  ///< levels for it
    bool has_neighbours = false;
    std::array<int, kTrafficKinds> traffic{};  ///< how many are under way
    std::size_t machine = 0;
  };
  struct Machine {
    std::vector<std::size_t> devices;
    int busy = 0;
    bool is_shared = false;  ///< some device of it minds
  };

  void change_busy(DeviceId device, int change);
  void change_traffic(DeviceId device, Traffic traffic, int change);
  void apply(std::size_t device);

  Platform& platform_;
  std::vector<State> states_;
  std::vector<Machine> machines_;
  std::vector<bool> is_busy_;
};

}  // namespace gabra::sim
