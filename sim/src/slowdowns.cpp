// SPDX-License-Identifier: MIT
#include "slowdowns.hpp"

#include <algorithm>
#include <map>

namespace gabra::sim {
namespace {

std::map<int, std::vector<std::size_t>> by_machine(const Cluster& cluster) {
  std::map<int, std::vector<std::size_t>> machines;
  for (std::size_t d = 0; d < cluster.device_count(); ++d) machines[cluster.device(DeviceId(d)).node].push_back(d);
  return machines;
}

/// Levels of the neighbours alone: 0 to all of them compute.
std::vector<double> neighbour_levels(double slowdown, std::size_t others) {
  std::vector<double> levels{1.0};
  if (slowdown > 1.0)
    for (std::size_t k = 1; k <= others; ++k)
      levels.push_back(1.0 + (slowdown - 1.0) * static_cast<double>(k) / static_cast<double>(others));
  return levels;
}

/// By Traffic.
std::array<double, kTrafficKinds> traffic_slowdowns(const DeviceKind& kind) {
  return {kind.communication_slowdown, kind.receive_slowdown.value_or(kind.communication_slowdown),
          kind.send_slowdown.value_or(kind.communication_slowdown)};
}

bool minds_traffic(const DeviceKind& kind) {
  const auto slowdowns = traffic_slowdowns(kind);
  return std::any_of(slowdowns.begin(), slowdowns.end(), [](double slowdown) { return slowdown > 1.0; });
}

}  // namespace

std::vector<std::vector<double>> Slowdowns::levels(const Cluster& cluster) {
  std::vector<std::vector<double>> result(cluster.device_count());
  for (const auto& [node, devices] : by_machine(cluster))
    for (const std::size_t d : devices) {
      const DeviceKind& kind = cluster.kind_of(DeviceId(d));
      result[d] = neighbour_levels(kind.neighbour_slowdown, devices.size() - 1);
      const std::size_t count = result[d].size();
      if (!minds_traffic(kind)) continue;
      for (const double slowdown : traffic_slowdowns(kind))
        for (std::size_t k = 0; k < count; ++k) result[d].push_back(result[d][k] * slowdown);
    }
  return result;
}

Slowdowns::Slowdowns(const Cluster& cluster, Platform& platform)
    : platform_(platform), states_(cluster.device_count()), is_busy_(cluster.device_count(), false) {
  for (auto& [node, devices] : by_machine(cluster)) {
    Machine machine;
    for (const std::size_t d : devices) {
      const DeviceKind& kind = cluster.kind_of(DeviceId(d));
      states_[d] = {.has_communication = minds_traffic(kind),
                    .has_neighbours = kind.neighbour_slowdown > 1.0 && devices.size() > 1,
                    .traffic = {},
                    .machine = machines_.size()};
      machine.is_shared = machine.is_shared || states_[d].has_neighbours;
    }
    machine.devices = devices;
    machines_.push_back(std::move(machine));
  }
}

void Slowdowns::change_traffic(DeviceId device, Traffic traffic, int change) {
  State& state = states_[device.index()];
  state.traffic[static_cast<std::size_t>(traffic)] += change;
  if (state.has_communication) apply(device.index());
}

void Slowdowns::change_busy(DeviceId device, int change) {
  Machine& machine = machines_[states_[device.index()].machine];
  if (!machine.is_shared) return;
  machine.busy += change;
  is_busy_[device.index()] = change > 0;
  for (const std::size_t other : machine.devices)
    if (states_[other].has_neighbours) apply(other);
}

void Slowdowns::apply(std::size_t device) {
  const State& state = states_[device];
  const Machine& machine = machines_[state.machine];
  const std::size_t neighbour_count = state.has_neighbours ? machine.devices.size() : 1;
  std::size_t level = 0;
  if (state.has_neighbours) level = static_cast<std::size_t>(machine.busy - (is_busy_[device] ? 1 : 0));
  const auto first = std::find_if(state.traffic.begin(), state.traffic.end(), [](int count) { return count > 0; });
  if (state.has_communication && first != state.traffic.end())
    level += neighbour_count * (1 + static_cast<std::size_t>(first - state.traffic.begin()));
  platform_.set_level(device, level);
}

void Slowdowns::reset() {
  for (Machine& machine : machines_) machine.busy = 0;
  for (std::size_t d = 0; d < states_.size(); ++d) {
    is_busy_[d] = false;
    states_[d].traffic = {};
    if (states_[d].has_neighbours || states_[d].has_communication) platform_.set_level(d, 0);
  }
}

}  // namespace gabra::sim
