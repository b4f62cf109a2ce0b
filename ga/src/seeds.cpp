// SPDX-License-Identifier: MIT
#include "seeds.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

namespace gabra::ga {
namespace {

constexpr std::size_t kMostCounts = 8;  // values of M that heuristics try

/// Collects seeds for one M.
class Collector {
 public:
  Collector(const PlanSpace& space, StageEstimator& estimator) : space_(space), estimator_(estimator) {}

  void add(std::vector<Stage> stages, std::int64_t count) {
    if (stages.empty()) return;
    Plan plan{.micro_batches = count, .bucket = space_.usual_bucket(), .stages = std::move(stages)};
    space_.repair(plan);
    Plan fitting = plan;
    recompute_what_seems_too_large(fitting);
    insert(std::move(plan));
    insert(std::move(fitting));
  }
  [[nodiscard]] std::vector<Plan> take() { return std::move(plans_); }

 private:
  void insert(Plan plan) {
    plan = space_.canonical(std::move(plan));
    if (seen_.insert(plan).second) plans_.push_back(std::move(plan));
  }

  /// A rough sum per stage; the compiler has the exact one.
  void recompute_what_seems_too_large(Plan& plan) {
    CostModel& costs = estimator_.costs();
    const Cluster& cluster = *space_.problem().cluster;
    const std::int64_t size = space_.global_batch() / plan.micro_batches;
    std::int64_t later = 0;  // replicas of this stage and those after it
    for (auto stage = plan.stages.rbegin(); stage != plan.stages.rend(); ++stage) {
      const auto replicas = static_cast<std::int64_t>(stage->devices.size());
      later += replicas;
      const std::int64_t in_flight =
          std::min((later + replicas - 1) / replicas, (plan.micro_batches + replicas - 1) / replicas);
      const Bytes need = costs.state_bytes(stage->first_unit, stage->end_unit) +
                         costs.saved_bytes(stage->first_unit, stage->end_unit) * (size * in_flight);
      for (const DeviceId device : stage->devices) {
        const DeviceKind& kind = cluster.kind_of(device);
        if (need + kind.base_memory > kind.memory) stage->recompute = Recompute::Always;
      }
    }
  }

  const PlanSpace& space_;
  StageEstimator& estimator_;
  std::set<Plan> seen_;
  std::vector<Plan> plans_;
};

/// `stages` lists over the order: neighbours together, or every stages-th device. What is left over joins the first.
DeviceLists group(const DeviceOrder& order, std::size_t stages, bool is_spread) {
  DeviceLists lists(stages);
  const std::size_t replicas = order.size() / stages;
  const std::size_t more = order.size() % stages;
  std::size_t next = 0;
  for (std::size_t s = 0; s < stages; ++s) {
    const std::size_t count = replicas + (s < more ? 1 : 0);
    for (std::size_t r = 0; r < count; ++r) lists[s].push_back(is_spread ? order[r * stages + s] : order[next + r]);
    next += count;
  }
  return lists;
}

std::vector<std::size_t> stage_counts(const PlanSpace& space) {
  const auto devices = static_cast<std::size_t>(space.devices());
  std::set<std::size_t> counts;
  for (std::size_t s = 1; s <= devices; ++s) {
    if (devices % s == 0 || s <= 3 || devices <= 4) counts.insert(s);
  }
  counts.insert(std::min(devices, static_cast<std::size_t>(space.units())));
  std::erase_if(counts, [&](std::size_t s) { return s > static_cast<std::size_t>(space.units()); });
  return {counts.begin(), counts.end()};
}

void truncate(DeviceLists& lists, std::int64_t most) {
  for (auto& list : lists) list.resize(std::min(list.size(), static_cast<std::size_t>(most)));
}

void add_pipelines(const PlanSpace& space, StageEstimator& estimator, const DeviceOrder& order, std::int64_t count,
                   Collector& to) {
  for (const std::size_t stages : stage_counts(space)) {
    for (const bool is_spread : {false, true}) {
      DeviceLists lists = group(order, stages, is_spread);
      truncate(lists, count);
      to.add(make_stages(balanced_ends(estimator, lists, count), lists), count);
      to.add(make_stages(even_ends(space.units(), static_cast<std::int32_t>(stages)), lists), count);
    }
  }
}

/// Two or three stages per device, one after another in rounds.
void add_interleaved(const PlanSpace& space, StageEstimator& estimator, const DeviceOrder& order, std::int64_t count,
                     Collector& to) {
  for (const std::size_t rounds : {std::size_t{2}, std::size_t{3}}) {
    const std::size_t stages = rounds * order.size();
    if (order.size() < 2 || stages > static_cast<std::size_t>(space.units())) continue;
    if (static_cast<std::int64_t>(rounds) > space.max_stages_per_device()) continue;
    DeviceLists lists;
    for (std::size_t s = 0; s < stages; ++s) lists.push_back({order[s % order.size()]});
    to.add(make_stages(balanced_ends(estimator, lists, count), lists), count);
  }
}

/// All devices for the first units; few, their own or shared, for the suffix that holds most of the parameters.
void add_heavy_tails(const PlanSpace& space, StageEstimator& estimator, const DeviceOrder& order, std::int64_t count,
                     Collector& to) {
  const auto total = static_cast<double>(estimator.costs().parameters(0, space.units()));
  std::set<std::int32_t> cuts;
  for (const double share : {0.5, 0.8, 0.9}) {
    for (std::int32_t cut = space.units() - 1; cut > 0; --cut) {
      if (static_cast<double>(estimator.costs().parameters(cut, space.units())) < share * total) continue;
      cuts.insert(cut);
      break;
    }
  }
  for (const std::int32_t cut : cuts) {
    const std::int32_t ends[] = {cut, space.units()};
    for (const std::size_t tail : {std::size_t{1}, std::size_t{2}}) {
      if (tail >= order.size()) continue;
      const auto middle = order.end() - static_cast<std::ptrdiff_t>(tail);
      DeviceLists lists{{order.begin(), middle}, {middle, order.end()}};
      truncate(lists, count);
      to.add(make_stages(ends, lists), count);
      lists[0] = order;  // the tail's devices take part in the first stage too
      truncate(lists, count);
      to.add(make_stages(ends, lists), count);
    }
  }
}

}  // namespace

std::vector<Stage> list_scheduled_stages(StageEstimator& estimator, const DeviceOrder& order,
                                         std::int64_t micro_batches) {
  const Problem& problem = estimator.costs().problem();
  const Cluster& cluster = *problem.cluster;
  const std::int64_t size = problem.training.global_batch / micro_batches;
  std::vector<double> load(order.size(), 0.0);
  std::vector<Stage> stages;
  std::size_t here = 0;
  for (std::int32_t unit = 0; unit < estimator.units(); ++unit) {
    std::size_t best = 0;
    double best_end = 0.0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      double end = load[i] + estimator.span(unit, unit + 1, cluster.device(order[i]).kind, size);
      if (unit > 0 && i != here) {
        const double bytes = estimator.crossing_bytes(unit) * static_cast<double>(size);
        end += bytes / cluster.route(order[here], order[i]).bandwidth.value();
      }
      if (i == 0 || end < best_end) {
        best = i;
        best_end = end;
      }
    }
    load[best] += estimator.span(unit, unit + 1, cluster.device(order[best]).kind, size);
    if (unit > 0 && best == here) {
      stages.back().end_unit = unit + 1;
    } else {
      stages.push_back({.first_unit = unit, .end_unit = unit + 1, .devices = {order[best]}});
    }
    here = best;
  }
  return stages;
}

std::vector<Plan> heuristic_plans(const PlanSpace& space, StageEstimator& estimator) {
  Collector to(space, estimator);
  const std::vector<DeviceOrder> orders = device_orders(*space.problem().cluster);
  for (const std::int64_t count : space.spread_counts(kMostCounts)) {
    for (const DeviceOrder& order : orders) {
      to.add(pipedream_stages(estimator, order, count), count);
      add_pipelines(space, estimator, order, count, to);
      add_heavy_tails(space, estimator, order, count, to);
      add_interleaved(space, estimator, order, count, to);
      to.add(list_scheduled_stages(estimator, order, count), count);
    }
  }
  return to.take();
}

}  // namespace gabra::ga
