// SPDX-License-Identifier: MIT
#include "families.hpp"

#include <algorithm>
#include <set>

namespace gabra::ga {
namespace {

DeviceLists one_each(const DeviceOrder& order, std::int32_t stages) {
  DeviceLists lists;
  for (std::int32_t s = 0; s < stages; ++s) lists.push_back({order[static_cast<std::size_t>(s)]});
  return lists;
}

std::vector<Stage> whole_network(std::int32_t units, std::vector<DeviceId> devices) {
  return {{.first_unit = 0, .end_unit = units, .devices = std::move(devices)}};
}

/// By number and along fast links: the orders that a person would try.
std::vector<DeviceOrder> usual_orders(const Cluster& cluster) {
  std::vector<DeviceOrder> orders = device_orders(cluster);
  orders.resize(std::min<std::size_t>(orders.size(), 2));
  return orders;
}

/// Layouts of stages for one M, before bucket sizes.
std::vector<std::vector<Stage>> layouts(Family family, const PlanSpace& space, StageEstimator& estimator,
                                        std::int64_t count) {
  const Cluster& cluster = *space.problem().cluster;
  std::vector<std::vector<Stage>> result;
  if (family == Family::OneDevice) {
    for (const DeviceOrder& order : {fastest_first(cluster)}) {
      for (const DeviceId device : order) result.push_back(whole_network(space.units(), {device}));
    }
    return result;
  }
  if (family == Family::DataParallel) {
    const auto most = std::min<std::int64_t>(space.devices(), space.micro_batch_counts().back());
    if (count < most) return result;
    DeviceOrder order = fastest_first(cluster);
    order.resize(static_cast<std::size_t>(most));
    result.push_back(whole_network(space.units(), std::move(order)));
    return result;
  }
  const std::int32_t stages = std::min(space.devices(), space.units());
  for (const DeviceOrder& order : usual_orders(cluster)) {
    const DeviceLists lists = one_each(order, stages);
    const auto ends =
        family == Family::Sequential ? balanced_ends(estimator, lists, count) : even_ends(space.units(), stages);
    result.push_back(make_stages(ends, lists));
  }
  return result;
}

Schedule schedule_of(Family family) {
  if (family == Family::Sequential) return Schedule::Sequential;
  return family == Family::EvenGPipe ? Schedule::GPipe : Schedule::OneForwardOneBackward;
}

}  // namespace

std::string_view to_text(Family family) {
  switch (family) {
    case Family::OneDevice:
      return "one-device";
    case Family::DataParallel:
      return "data-parallel";
    case Family::Sequential:
      return "sequential";
    case Family::EvenPipeline:
      return "even-pipeline";
    case Family::EvenGPipe:
      return "even-gpipe";
  }
  return "";
}

std::vector<Plan> family_plans(Family family, const PlanSpace& space, StageEstimator& estimator, Recompute recompute) {
  std::vector<Plan> result;
  std::set<Plan> seen;
  for (const std::int64_t count : space.micro_batch_counts()) {
    for (const std::vector<Stage>& stages : layouts(family, space, estimator, count)) {
      for (const Bytes bucket : space.buckets()) {
        Plan plan{.micro_batches = count, .schedule = schedule_of(family), .bucket = bucket, .stages = stages};
        for (Stage& stage : plan.stages) stage.recompute = recompute;
        plan = space.canonical(std::move(plan));
        if (seen.insert(plan).second) result.push_back(std::move(plan));
      }
    }
  }
  return result;
}

}  // namespace gabra::ga
