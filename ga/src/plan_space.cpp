// SPDX-License-Identifier: MIT
#include "plan_space.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"

#include <algorithm>
#include <set>
#include <string>

namespace gabra::ga {
namespace {

constexpr std::int64_t kMegabyte = 1'000'000;

std::vector<std::int64_t> admitted_counts(std::int64_t global_batch, const SearchSpace& space) {
  std::vector<std::int64_t> low;
  std::vector<std::int64_t> high;
  const auto add = [&](std::int64_t count, std::vector<std::int64_t>& to) {
    const std::int64_t size = global_batch / count;
    if (size >= space.min_micro_batch && (!space.micro_batch || size == *space.micro_batch)) to.push_back(count);
  };
  for (std::int64_t count = 1; count * count <= global_batch; ++count) {
    if (global_batch % count != 0) continue;
    add(count, low);
    if (count * count != global_batch) add(global_batch / count, high);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

void require_counts(bool has_counts, std::int64_t global_batch, const SearchSpace& space) {
  if (has_counts) return;
  const std::string batch = std::to_string(global_batch);
  if (space.micro_batch) {
    throw_input_error("--micro-batch", std::to_string(*space.micro_batch),
                      "a divisor of the global batch " + batch + ", at least the smallest micro-batch size");
  }
  throw_input_error("--min-micro-batch", std::to_string(space.min_micro_batch), "at most the global batch " + batch);
}

}  // namespace

PlanSpace::PlanSpace(const Problem& problem, const SearchSpace& space)
    : problem_(problem),
      units_(static_cast<std::int32_t>(problem.network->unit_count())),
      devices_(static_cast<std::int32_t>(problem.cluster->device_count())),
      counts_(admitted_counts(problem.training.global_batch, space)),
      buckets_(space.buckets),
      max_stages_per_device_(std::max<std::int64_t>(1, space.max_stages_per_device)) {
  require_counts(!counts_.empty(), problem.training.global_batch, space);
  if (buckets_.empty()) {
    for (const std::int64_t size : {10, 25, 50, 100, 1000}) buckets_.emplace_back(size * kMegabyte);
  }
  std::sort(buckets_.begin(), buckets_.end());
  buckets_.erase(std::unique(buckets_.begin(), buckets_.end()), buckets_.end());
  const Bytes usual(25 * kMegabyte);
  usual_bucket_ = std::binary_search(buckets_.begin(), buckets_.end(), usual) ? usual : buckets_.front();
  const auto bytes = parameter_bytes(problem.training);
  gradient_sums_.push_back(0);
  for (const UnitCosts& costs : problem.network->unit_costs()) {
    gradient_sums_.push_back(gradient_sums_.back() + costs.parameters * bytes.gradient);
  }
}

std::vector<std::int64_t> PlanSpace::spread_counts(std::size_t most) const {
  if (counts_.size() <= most) return counts_;
  std::vector<std::int64_t> result;
  for (std::size_t i = 0; i < most; ++i) result.push_back(counts_[i * (counts_.size() - 1) / (most - 1)]);
  return result;
}

bool PlanSpace::contains(const Plan& plan) const {
  if (!std::binary_search(counts_.begin(), counts_.end(), plan.micro_batches)) return false;
  if (!std::binary_search(buckets_.begin(), buckets_.end(), plan.bucket)) return false;
  std::vector<std::int64_t> uses(static_cast<std::size_t>(devices_), 0);
  std::int32_t next = 0;
  for (const Stage& stage : plan.stages) {
    if (stage.first_unit != next || stage.end_unit <= stage.first_unit || stage.devices.empty()) return false;
    if (static_cast<std::int64_t>(stage.devices.size()) > plan.micro_batches) return false;
    const std::set<DeviceId> distinct(stage.devices.begin(), stage.devices.end());
    if (distinct.size() != stage.devices.size()) return false;
    for (const DeviceId device : stage.devices) {
      if (!device.is_valid() || device.value() >= devices_) return false;
      if (++uses[device.index()] > max_stages_per_device_) return false;
    }
    next = stage.end_unit;
  }
  return next == units_;
}

void PlanSpace::drop_surplus_devices(Plan& plan) const {
  std::vector<std::int64_t> uses(static_cast<std::size_t>(devices_), 0);
  for (Stage& stage : plan.stages) {
    std::vector<DeviceId> kept;
    for (const DeviceId device : stage.devices) {
      if (static_cast<std::int64_t>(kept.size()) == plan.micro_batches) break;
      if (std::find(kept.begin(), kept.end(), device) != kept.end()) continue;
      if (uses[device.index()] == max_stages_per_device_) continue;
      ++uses[device.index()];
      kept.push_back(device);
    }
    stage.devices = std::move(kept);
  }
}

void PlanSpace::repair(Plan& plan) const {
  GABRA_CHECK(!plan.stages.empty(), "a plan without stages cannot be repaired");
  const auto count = std::lower_bound(counts_.begin(), counts_.end(), plan.micro_batches);
  plan.micro_batches = count == counts_.end() ? counts_.back() : *count;
  if (!std::binary_search(buckets_.begin(), buckets_.end(), plan.bucket)) plan.bucket = usual_bucket_;
  drop_surplus_devices(plan);
  std::vector<Stage> kept;
  std::int32_t first = 0;  // units of stages without a device go to the next one that has some, or to the last
  for (Stage& stage : plan.stages) {
    if (stage.devices.empty() || stage.end_unit <= first) continue;
    stage.first_unit = first;
    first = stage.end_unit;
    kept.push_back(std::move(stage));
  }
  if (kept.empty()) kept.push_back({.first_unit = 0, .end_unit = units_, .devices = {DeviceId(0)}});
  kept.back().end_unit = units_;
  plan.stages = std::move(kept);
}

// Swapping two devices of one interchange class is an automorphism of the cluster, so it changes no cost.
// Transpositions within a class generate all its permutations: the first device of a class to appear may be called its
// lowest, and so on.
void PlanSpace::relabel_interchangeable(Plan& plan) const {
  const auto classes = problem_.cluster->interchange_classes();
  std::vector<DeviceId> label(static_cast<std::size_t>(devices_));
  std::vector<std::int32_t> next(static_cast<std::size_t>(devices_));  // by class: where to look for an unused member
  for (std::int32_t i = 0; i < devices_; ++i) next[static_cast<std::size_t>(i)] = i;
  for (Stage& stage : plan.stages) {
    for (DeviceId& device : stage.devices) {
      DeviceId& name = label[device.index()];
      if (!name.is_valid()) {
        const DeviceId group = classes[device.index()];
        std::int32_t& candidate = next[group.index()];
        while (classes[static_cast<std::size_t>(candidate)] != group) ++candidate;
        name = DeviceId(candidate++);
      }
      device = name;
    }
  }
}

// A bucket size matters only where a stage is replicated, and every size that holds all gradients of every replicated
// stage gives each of them one bucket.
void PlanSpace::unify_bucket(Plan& plan) const {
  std::int64_t largest = -1;
  for (const Stage& stage : plan.stages) {
    if (stage.devices.size() < 2) continue;
    largest = std::max(largest, gradient_sums_[static_cast<std::size_t>(stage.end_unit)] -
                                    gradient_sums_[static_cast<std::size_t>(stage.first_unit)]);
  }
  if (largest < 0) {
    plan.bucket = usual_bucket_;
  } else if (plan.bucket.value() > largest) {
    plan.bucket = *std::upper_bound(buckets_.begin(), buckets_.end(), Bytes(largest));
  }
}

Plan PlanSpace::canonical(Plan plan) const {
  // One micro-batch goes forward through all stages and then back, whatever the schedule; it is also the last one.
  if (plan.micro_batches == 1) {
    plan.schedule = Schedule::Sequential;
    for (Stage& stage : plan.stages) {
      if (stage.recompute == Recompute::ExceptLast) stage.recompute = Recompute::Never;
    }
  }
  // In a single stage the limits of sequential and 1F1B are the same: one micro-batch in flight per replica.
  if (plan.micro_batches > 1 && plan.stages.size() == 1 && plan.schedule == Schedule::Sequential) {
    plan.schedule = Schedule::OneForwardOneBackward;
  }
  relabel_interchangeable(plan);
  unify_bucket(plan);
  // Replicas of a single stage meet only in the all-reduce, where their order does not matter. The first M mod R of
  // them run one micro-batch more, and ExceptLast distinguishes the one that runs the last.
  if (plan.stages.size() == 1 && plan.stages.front().recompute != Recompute::ExceptLast) {
    Stage& stage = plan.stages.front();
    const auto longer = plan.micro_batches % static_cast<std::int64_t>(stage.devices.size());
    std::sort(stage.devices.begin(), stage.devices.begin() + longer);
    std::sort(stage.devices.begin() + longer, stage.devices.end());
  }
  return plan;
}

}  // namespace gabra::ga
