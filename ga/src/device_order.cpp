// SPDX-License-Identifier: MIT
#include "device_order.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace gabra::ga {
namespace {

constexpr std::size_t kMostDevicesForPaths = 64;  // 2-opt costs the square per pass, routes as much memory
constexpr int kMostPasses = 20;

class PathCosts {
 public:
  explicit PathCosts(const Cluster& cluster) : count_(cluster.device_count()), seconds_(count_ * count_, 0.0) {
    const Bytes probe(std::int64_t{16} * 1000 * 1000);
    for (std::size_t from = 0; from < count_; ++from) {
      for (std::size_t to = 0; to < count_; ++to) {
        if (from == to) continue;
        const Route& route = cluster.route(DeviceId(from), DeviceId(to));
        seconds_[from * count_ + to] = (probe / route.bandwidth + route.latency).value();
      }
    }
  }
  [[nodiscard]] double between(DeviceId a, DeviceId b) const {
    return seconds_[a.index() * count_ + b.index()] + seconds_[b.index() * count_ + a.index()];
  }

 private:
  std::size_t count_;
  std::vector<double> seconds_;
};

DeviceOrder nearest_neighbours(const PathCosts& costs, std::size_t count) {
  DeviceOrder path{DeviceId(0)};
  std::vector<bool> is_used(count, false);
  is_used[0] = true;
  while (path.size() < count) {
    DeviceId nearest;
    for (std::size_t i = 0; i < count; ++i) {
      if (is_used[i]) continue;
      const DeviceId candidate(i);
      if (!nearest.is_valid() || costs.between(path.back(), candidate) < costs.between(path.back(), nearest)) {
        nearest = candidate;
      }
    }
    is_used[nearest.index()] = true;
    path.push_back(nearest);
  }
  return path;
}

/// One pass of 2-opt on an open path; true when it got shorter.
bool improve(DeviceOrder& path, const PathCosts& costs) {
  bool is_better = false;
  const std::size_t count = path.size();
  for (std::size_t i = 0; i + 1 < count; ++i) {
    for (std::size_t j = i + 1; j < count; ++j) {
      double change = 0.0;  // of reversing [i, j]
      if (i > 0) change += costs.between(path[i - 1], path[j]) - costs.between(path[i - 1], path[i]);
      if (j + 1 < count) change += costs.between(path[i], path[j + 1]) - costs.between(path[j], path[j + 1]);
      if (change >= -1e-12) continue;
      std::reverse(path.begin() + static_cast<std::ptrdiff_t>(i), path.begin() + static_cast<std::ptrdiff_t>(j) + 1);
      is_better = true;
    }
  }
  return is_better;
}

DeviceOrder by_number(std::size_t count) {
  DeviceOrder order;
  for (std::size_t i = 0; i < count; ++i) order.emplace_back(i);
  return order;
}

}  // namespace

DeviceOrder fastest_first(const Cluster& cluster) {
  DeviceOrder order = by_number(cluster.device_count());
  std::stable_sort(order.begin(), order.end(), [&](DeviceId a, DeviceId b) {
    return cluster.kind_of(a).peak_float32 > cluster.kind_of(b).peak_float32;
  });
  return order;
}

DeviceOrder connected_path(const Cluster& cluster) {
  const std::size_t count = cluster.device_count();
  if (count <= 2 || count > kMostDevicesForPaths) return by_number(count);
  const PathCosts costs(cluster);
  DeviceOrder path = nearest_neighbours(costs, count);
  for (int pass = 0; pass < kMostPasses && improve(path, costs); ++pass) {
  }
  if (path.front() > path.back()) std::reverse(path.begin(), path.end());
  return path;
}

std::vector<DeviceOrder> device_orders(const Cluster& cluster) {
  std::vector<DeviceOrder> orders{by_number(cluster.device_count())};
  const auto add = [&](DeviceOrder order) {
    if (std::find(orders.begin(), orders.end(), order) == orders.end()) orders.push_back(std::move(order));
  };
  const DeviceOrder path = connected_path(cluster);
  const DeviceOrder fast = fastest_first(cluster);
  add(path);
  if (fast != orders.front()) add(fast);
  const auto& kinds = cluster.description().kinds;
  if (kinds.size() > 1) {
    add(DeviceOrder(path.rbegin(), path.rend()));
    add(DeviceOrder(fast.rbegin(), fast.rend()));
  }
  return orders;
}

}  // namespace gabra::ga
