// SPDX-License-Identifier: MIT
#include "operators.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace gabra::ga {
namespace {

/// Collects plans of the space in canonical form, in the order they were added, without repeats.
class Collector {
 public:
  Collector(const Plan& origin, const PlanSpace& space) : space_(space) { seen_.insert(space.canonical(origin)); }

  void add(Plan plan) {
    space_.repair(plan);
    plan = space_.canonical(std::move(plan));
    if (seen_.insert(plan).second) plans_.push_back(std::move(plan));
  }
  [[nodiscard]] std::vector<Plan> take() { return std::move(plans_); }

 private:
  const PlanSpace& space_;
  std::set<Plan> seen_;
  std::vector<Plan> plans_;
};

void add_settings(const Plan& plan, const PlanSpace& space, Collector& to) {
  const auto counts = space.micro_batch_counts();
  const auto here = std::find(counts.begin(), counts.end(), plan.micro_batches) - counts.begin();
  for (const std::ptrdiff_t step : {-2, -1, 1, 2}) {
    if (here + step < 0 || here + step >= static_cast<std::ptrdiff_t>(counts.size())) continue;
    Plan other = plan;
    other.micro_batches = counts[static_cast<std::size_t>(here + step)];
    to.add(other);
    if (step > 0) {
      other.schedule = Schedule::OneForwardOneBackward;
      to.add(std::move(other));
    }
  }
  for (const Schedule schedule : {Schedule::Sequential, Schedule::GPipe, Schedule::OneForwardOneBackward}) {
    Plan other = plan;
    other.schedule = schedule;
    to.add(std::move(other));
  }
  for (const Bytes bucket : space.buckets()) {
    Plan other = plan;
    other.bucket = bucket;
    to.add(std::move(other));
  }
}

void add_recomputations(const Plan& plan, Collector& to) {
  for (const Recompute recompute : {Recompute::Never, Recompute::ExceptLast, Recompute::Always}) {
    Plan all = plan;
    for (std::size_t s = 0; s < plan.stages.size(); ++s) {
      Plan one = plan;
      one.stages[s].recompute = recompute;
      all.stages[s].recompute = recompute;
      to.add(std::move(one));
    }
    to.add(std::move(all));
  }
}

void add_cuts(const Plan& plan, Collector& to) {
  for (std::size_t s = 0; s + 1 < plan.stages.size(); ++s) {
    for (const std::int32_t step : {-1, 1, -2, 2}) {
      const std::int32_t cut = plan.stages[s].end_unit + step;
      if (cut <= plan.stages[s].first_unit || cut >= plan.stages[s + 1].end_unit) continue;
      Plan other = plan;
      other.stages[s].end_unit = cut;
      other.stages[s + 1].first_unit = cut;
      to.add(std::move(other));
    }
  }
}

void add_splits_and_merges(const Plan& plan, const PlanSpace& space, Collector& to) {
  const std::vector<DeviceId> unused = unused_devices(plan, space);
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    const std::int32_t size = stage.end_unit - stage.first_unit;
    std::set<std::int32_t> cuts;
    for (const std::int32_t part : {1, size / 4, size / 2, size - size / 4, size - 1}) {
      if (part > 0 && part < size) cuts.insert(stage.first_unit + part);
    }
    for (const std::int32_t cut : cuts) {
      Plan other = plan;
      other.stages[s].end_unit = cut;
      Stage second = stage;
      second.first_unit = cut;
      other.stages.insert(other.stages.begin() + static_cast<std::ptrdiff_t>(s) + 1, second);
      to.add(other);
      const std::size_t replicas = stage.devices.size();
      if (!unused.empty()) {
        other.stages[s + 1].devices = {unused.front()};
        to.add(other);
        std::swap(other.stages[s].devices, other.stages[s + 1].devices);
        to.add(std::move(other));
      } else if (replicas > 1) {
        for (const std::size_t kept : {replicas / 2, replicas - 1}) {
          const auto middle = stage.devices.begin() + static_cast<std::ptrdiff_t>(kept);
          other.stages[s].devices.assign(stage.devices.begin(), middle);
          other.stages[s + 1].devices.assign(middle, stage.devices.end());
          to.add(other);
        }
      }
    }
    if (s + 1 == plan.stages.size()) continue;
    Plan merged = plan;
    merged.stages[s].end_unit = plan.stages[s + 1].end_unit;
    merged.stages.erase(merged.stages.begin() + static_cast<std::ptrdiff_t>(s) + 1);
    to.add(merged);  // with the devices of the first
    merged.stages[s].devices = plan.stages[s + 1].devices;
    to.add(merged);
    merged.stages[s].devices.insert(merged.stages[s].devices.begin(), stage.devices.begin(), stage.devices.end());
    to.add(std::move(merged));
  }
}

void add_exchanges(const Plan& plan, const PlanSpace& space, Collector& to) {
  for (std::int32_t a = 0; a < space.devices(); ++a) {
    for (std::int32_t b = a + 1; b < space.devices(); ++b) {
      Plan other = plan;
      bool is_changed = false;
      for (Stage& stage : other.stages) {
        for (DeviceId& device : stage.devices) {
          const bool is_one = device == DeviceId(a) || device == DeviceId(b);
          if (is_one) device = device == DeviceId(a) ? DeviceId(b) : DeviceId(a);
          is_changed = is_changed || is_one;
        }
      }
      if (is_changed) to.add(std::move(other));
    }
  }
}

void add_device_moves(const Plan& plan, const PlanSpace& space, Collector& to) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const std::vector<DeviceId>& devices = plan.stages[s].devices;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (i > 0) {
        Plan turned = plan;
        std::swap(turned.stages[s].devices[i - 1], turned.stages[s].devices[i]);
        to.add(std::move(turned));
      }
      if (devices.size() < 2) continue;
      Plan fewer = plan;
      fewer.stages[s].devices.erase(fewer.stages[s].devices.begin() + static_cast<std::ptrdiff_t>(i));
      to.add(fewer);
      for (std::size_t t = 0; t < plan.stages.size(); ++t) {
        if (t == s) continue;
        Plan moved = fewer;
        moved.stages[t].devices.push_back(devices[i]);
        to.add(std::move(moved));
      }
    }
    for (std::int32_t d = 0; d < space.devices(); ++d) {
      Plan more = plan;
      more.stages[s].devices.emplace_back(d);
      to.add(std::move(more));
      for (std::size_t i = 0; i < devices.size(); ++i) {
        if (std::find(devices.begin(), devices.end(), DeviceId(d)) != devices.end()) break;
        Plan replaced = plan;
        replaced.stages[s].devices[i] = DeviceId(d);
        to.add(std::move(replaced));
      }
    }
  }
}

}  // namespace

std::vector<Plan> neighbours(const Plan& plan, const PlanSpace& space) {
  Collector to(plan, space);
  add_settings(plan, space, to);
  add_cuts(plan, to);
  add_recomputations(plan, to);
  add_splits_and_merges(plan, space, to);
  add_exchanges(plan, space, to);
  add_device_moves(plan, space, to);
  return to.take();
}

}  // namespace gabra::ga
