// SPDX-License-Identifier: MIT
#include "operators.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace gabra::ga {
namespace {

struct Context {
  const PlanSpace& space;
  StageEstimator& estimator;
  Rng& rng;
};

std::size_t pick(Rng& rng, std::size_t count) { return static_cast<std::size_t>(rng.below(count)); }

Stage& any_stage(Plan& plan, Rng& rng) { return plan.stages[pick(rng, plan.stages.size())]; }

bool has(const Stage& stage, DeviceId device) {
  return std::find(stage.devices.begin(), stage.devices.end(), device) != stage.devices.end();
}

void insert_at_random(Stage& stage, DeviceId device, Rng& rng) {
  const auto place = static_cast<std::ptrdiff_t>(pick(rng, stage.devices.size() + 1));
  stage.devices.insert(stage.devices.begin() + place, device);
}

void move_cut(Plan& plan, const Context& with) {
  if (plan.stages.size() < 2) return;
  const std::size_t left = pick(with.rng, plan.stages.size() - 1);
  const std::int32_t low = plan.stages[left].first_unit + 1;
  const std::int32_t high = plan.stages[left + 1].end_unit - 1;
  const auto distance = static_cast<std::int32_t>(with.rng.between(1, 3));
  const std::int32_t cut = plan.stages[left].end_unit + (with.rng.chance(0.5) ? distance : -distance);
  plan.stages[left].end_unit = std::clamp(cut, low, high);
  plan.stages[left + 1].first_unit = plan.stages[left].end_unit;
}

/// Exchanges the names of two devices in the whole plan.
void swap_devices(Plan& plan, const Context& with) {
  const DeviceId a(pick(with.rng, static_cast<std::size_t>(with.space.devices())));
  const DeviceId b(pick(with.rng, static_cast<std::size_t>(with.space.devices())));
  for (Stage& stage : plan.stages) {
    for (DeviceId& device : stage.devices) {
      if (device == a) {
        device = b;
      } else if (device == b) {
        device = a;
      }
    }
  }
}

void move_device(Plan& plan, const Context& with) {
  if (plan.stages.size() < 2) return;
  Stage& from = any_stage(plan, with.rng);
  Stage& to = any_stage(plan, with.rng);
  const DeviceId device = from.devices[pick(with.rng, from.devices.size())];
  if (&from == &to || from.devices.size() < 2 || has(to, device)) return;
  std::erase(from.devices, device);
  insert_at_random(to, device, with.rng);
}

void replace_device(Plan& plan, const Context& with) {
  Stage& stage = any_stage(plan, with.rng);
  const std::vector<DeviceId> unused = unused_devices(plan, with.space);
  const DeviceId device = !unused.empty() && with.rng.chance(0.7)
                              ? unused[pick(with.rng, unused.size())]
                              : DeviceId(pick(with.rng, static_cast<std::size_t>(with.space.devices())));
  if (!has(stage, device)) stage.devices[pick(with.rng, stage.devices.size())] = device;
}

void add_replica(Plan& plan, const Context& with) {
  Stage& stage = any_stage(plan, with.rng);
  const std::vector<DeviceId> unused = unused_devices(plan, with.space);
  const DeviceId device = !unused.empty() && with.rng.chance(0.8)
                              ? unused[pick(with.rng, unused.size())]
                              : DeviceId(pick(with.rng, static_cast<std::size_t>(with.space.devices())));
  if (!has(stage, device)) insert_at_random(stage, device, with.rng);
}

void remove_replica(Plan& plan, const Context& with) {
  Stage& stage = any_stage(plan, with.rng);
  if (stage.devices.size() < 2) return;
  stage.devices.erase(stage.devices.begin() + static_cast<std::ptrdiff_t>(pick(with.rng, stage.devices.size())));
}

void reorder_replicas(Plan& plan, const Context& with) {
  Stage& stage = any_stage(plan, with.rng);
  const std::size_t a = pick(with.rng, stage.devices.size());
  const std::size_t b = pick(with.rng, stage.devices.size());
  std::swap(stage.devices[a], stage.devices[b]);
}

void split_stage(Plan& plan, const Context& with) {
  const std::size_t index = pick(with.rng, plan.stages.size());
  Stage& stage = plan.stages[index];
  if (stage.end_unit - stage.first_unit < 2) return;
  Stage second = stage;
  stage.end_unit = static_cast<std::int32_t>(with.rng.between(stage.first_unit + 1, stage.end_unit - 1));
  second.first_unit = stage.end_unit;
  const std::vector<DeviceId> unused = unused_devices(plan, with.space);
  const std::size_t count = stage.devices.size();
  if (!unused.empty() && with.rng.chance(0.5)) {
    second.devices = {unused[pick(with.rng, unused.size())]};
  } else if (count > 1 && with.rng.chance(0.7)) {
    const auto kept = static_cast<std::ptrdiff_t>(1 + pick(with.rng, count - 1));
    second.devices.erase(second.devices.begin(), second.devices.begin() + kept);
    stage.devices.resize(static_cast<std::size_t>(kept));
  }  // else both halves keep all devices
  plan.stages.insert(plan.stages.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(second));
}

void merge_stages(Plan& plan, const Context& with) {
  if (plan.stages.size() < 2) return;
  const std::size_t index = pick(with.rng, plan.stages.size() - 1);
  Stage& stage = plan.stages[index];
  const Stage& next = plan.stages[index + 1];
  stage.end_unit = next.end_unit;
  const double choice = with.rng.uniform();
  if (choice < 0.6) {
    for (const DeviceId device : next.devices) {
      if (!has(stage, device)) stage.devices.push_back(device);
    }
  } else if (choice < 0.8) {
    stage.devices = next.devices;
  }
  plan.stages.erase(plan.stages.begin() + static_cast<std::ptrdiff_t>(index) + 1);
}

void rebalance(Plan& plan, const Context& with) {
  DeviceLists lists;
  for (const Stage& stage : plan.stages) lists.push_back(stage.devices);
  const auto ends = balanced_ends(with.estimator, lists, plan.micro_batches);
  std::int32_t first = 0;
  for (std::size_t s = 0; s < ends.size(); ++s) {
    plan.stages[s].first_unit = first;
    plan.stages[s].end_unit = first = ends[s];
  }
}

/// A neighbour of `value` in `options` (three times out of four) or any of them.
template <class T>
T vary(std::span<const T> options, T value, Rng& rng) {
  const auto here = static_cast<std::size_t>(std::lower_bound(options.begin(), options.end(), value) - options.begin());
  if (rng.chance(0.25)) return options[pick(rng, options.size())];
  if (rng.chance(0.5)) return options[std::min(here + 1, options.size() - 1)];
  return options[here == 0 ? 0 : here - 1];
}

void change_count(Plan& plan, const Context& with) {
  plan.micro_batches = vary(with.space.micro_batch_counts(), plan.micro_batches, with.rng);
}

void change_bucket(Plan& plan, const Context& with) { plan.bucket = vary(with.space.buckets(), plan.bucket, with.rng); }

void change_schedule(Plan& plan, const Context& with) { plan.schedule = static_cast<Schedule>(with.rng.below(3)); }

void change_recompute(Plan& plan, const Context& with) {
  const auto value = static_cast<Recompute>(with.rng.below(3));
  if (with.rng.chance(0.7)) {
    any_stage(plan, with.rng).recompute = value;
  } else {
    for (Stage& stage : plan.stages) stage.recompute = value;
  }
}

using Mutation = void (*)(Plan&, const Context&);
constexpr std::pair<Mutation, int> kMutations[] = {
    {move_cut, 6},       {swap_devices, 3},     {move_device, 3},     {replace_device, 2},  {add_replica, 2},
    {remove_replica, 1}, {reorder_replicas, 1}, {split_stage, 3},     {merge_stages, 3},    {rebalance, 2},
    {change_count, 3},   {change_bucket, 2},    {change_schedule, 1}, {change_recompute, 2}};

std::size_t stage_of(const Plan& plan, std::int32_t unit) {
  std::size_t index = 0;
  while (plan.stages[index].end_unit <= unit) ++index;
  return index;
}

/// M, schedule and bucket size, each from one of the parents.
Plan inherit_settings(const Plan& a, const Plan& b, Rng& rng) {
  Plan child;
  child.micro_batches = (rng.chance(0.5) ? a : b).micro_batches;
  child.schedule = (rng.chance(0.5) ? a : b).schedule;
  child.bucket = (rng.chance(0.5) ? a : b).bucket;
  return child;
}

}  // namespace

std::vector<DeviceId> unused_devices(const Plan& plan, const PlanSpace& space) {
  std::vector<bool> is_used(static_cast<std::size_t>(space.devices()), false);
  for (const Stage& stage : plan.stages) {
    for (const DeviceId device : stage.devices) is_used[device.index()] = true;
  }
  std::vector<DeviceId> result;
  for (std::size_t i = 0; i < is_used.size(); ++i) {
    if (!is_used[i]) result.emplace_back(i);
  }
  return result;
}

void unshare(Plan& plan, std::size_t first_stage, const PlanSpace& space) {
  std::vector<DeviceId> unused = unused_devices(plan, space);
  std::vector<bool> is_taken(static_cast<std::size_t>(space.devices()), false);
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    std::vector<DeviceId> kept;
    for (const DeviceId device : plan.stages[s].devices) {
      if (s < first_stage || !is_taken[device.index()]) {
        kept.push_back(device);
      } else if (!unused.empty()) {
        kept.push_back(unused.front());
        unused.erase(unused.begin());
      }
    }
    if (!kept.empty()) plan.stages[s].devices = std::move(kept);
    for (const DeviceId device : plan.stages[s].devices) is_taken[device.index()] = true;
  }
}

Plan mutate(Plan plan, const PlanSpace& space, StageEstimator& estimator, Rng& rng) {
  int total = 0;
  for (const auto& [mutation, weight] : kMutations) total += weight;
  auto choice = static_cast<int>(rng.below(static_cast<std::uint64_t>(total)));
  const Context context{space, estimator, rng};
  for (const auto& [mutation, weight] : kMutations) {
    choice -= weight;
    if (choice >= 0) continue;
    mutation(plan, context);
    break;
  }
  space.repair(plan);
  return plan;
}

Plan cross_cuts(const Plan& left, const Plan& right, const PlanSpace& space, Rng& rng) {
  Plan child = inherit_settings(left, right, rng);
  const auto unit = static_cast<std::int32_t>(rng.between(0, space.units()));
  for (const Stage& stage : left.stages) {
    if (stage.first_unit >= unit) break;
    child.stages.push_back(stage);
    child.stages.back().end_unit = std::min(stage.end_unit, unit);
  }
  const std::size_t boundary = child.stages.size();
  for (const Stage& stage : right.stages) {
    if (stage.end_unit <= unit) continue;
    child.stages.push_back(stage);
    child.stages.back().first_unit = std::max(stage.first_unit, unit);
  }
  if (rng.chance(0.8)) unshare(child, boundary, space);
  space.repair(child);
  return child;
}

Plan cross_assignment(const Plan& cuts, const Plan& devices, const PlanSpace& space, Rng& rng) {
  Plan child = inherit_settings(cuts, devices, rng);
  child.stages = cuts.stages;
  for (Stage& stage : child.stages) {
    const Stage& model = devices.stages[stage_of(devices, (stage.first_unit + stage.end_unit - 1) / 2)];
    stage.devices = model.devices;
    stage.recompute = model.recompute;
  }
  if (rng.chance(0.8)) unshare(child, 1, space);
  space.repair(child);
  return child;
}

}  // namespace gabra::ga
