// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>

#include "gabra/plan/cost_model.hpp"
#include "stage_layout.hpp"

namespace gabra {
namespace {

/// A stage's part in the bound.
struct StageBound {
  double head = 0.0;  ///< before any of its forwards can start
  double tail = 0.0;  ///< after any of its backwards has ended, before the step can end
  double forward = std::numeric_limits<double>::infinity();  ///< of its fastest replica
  double backward = std::numeric_limits<double>::infinity();
  double last_reduction = 0.0;  ///< its last bucket's all-reduce, alone on the links
};

/// Micro-batches of replica `r` whose activations are computed again.
std::int64_t recomputed(const Stage& stage, std::size_t r, std::int64_t micro_batches) {
  const auto replicas = static_cast<std::int64_t>(stage.devices.size());
  const std::int64_t own = (micro_batches - static_cast<std::int64_t>(r) + replicas - 1) / replicas;
  if (stage.recompute == Recompute::Never) return 0;
  return stage.recompute == Recompute::Always ? own : own - 1;
}

std::vector<StageBound> bound_stages(CostModel& costs, const Plan& plan, const PlanLayout& layout) {
  std::vector<StageBound> bounds(plan.stages.size());
  for (std::size_t s = 0; s < bounds.size(); ++s) {
    for (const ReplicaSeconds& replica : layout.stages[s].replicas) {
      bounds[s].forward = std::min(bounds[s].forward, replica.forward);
      bounds[s].backward = std::min(bounds[s].backward, replica.backward);
    }
    if (!layout.stages[s].buckets.empty())
      bounds[s].last_reduction =
          costs.collectives().all_reduce(plan.stages[s].devices, layout.stages[s].buckets.back().bytes).alone.value();
  }
  // Edges go from earlier to later stages, so one pass settles both directions.
  for (std::size_t s = 0; s < bounds.size(); ++s)
    for (const std::int32_t e : layout.stages[s].incoming) {
      const Edge& edge = layout.edges[static_cast<std::size_t>(e)];
      const StageBound& from = bounds[static_cast<std::size_t>(edge.from)];
      bounds[s].head = std::max(bounds[s].head, from.head + from.forward);
      if (edge.needs_gradient) bounds[s].tail = std::max(bounds[s].tail, from.tail + from.backward);
    }
  return bounds;
}

/// What is known of a device.
struct DeviceBound {
  double work = 0.0;
  double updates = 0.0;
  double head = std::numeric_limits<double>::infinity();
  double tail = std::numeric_limits<double>::infinity();
  double reduced = std::numeric_limits<double>::infinity();
};

}  // namespace

// Proof. Take a device that the plan uses; all of its computing is on one stream, so nothing on it overlaps.
// (1) Its first task is the forward of one of its stages; that micro-batch has passed every stage on some path of
//     tensors to it, on the fastest replicas at best: not before the smallest `head` of its stages.
// (2) Then it computes `work`: every forward, loss, recomputation and backward of its micro-batches. Slowdown by
//     communication, waiting and other tasks only add to that.
// (3) Its last task before the updates is a backward of one of its stages, s. After it (a) that micro-batch's backward
//     goes through the stages before s, at least `tail` of s; (b) the device runs all of its updates; (c) the last
//     bucket of s contains the units of this backward's last segment, so its all-reduce begins after it (the Program
//     says so), takes at least its time alone on the links, and the update of s follows.
// The step ends after the latest of these. Times of (a) to (c) may overlap each other, hence the maximum of them; over
// several stages of a device, the minimum, because any of them may be the last. The largest bound over all devices
// holds. A billionth is taken off for rounding.
Seconds CostModel::lower_bound(const Plan& plan) {
  const PlanLayout layout = lay_out(*this, plan);
  const std::vector<StageBound> stages = bound_stages(*this, plan, layout);
  std::vector<DeviceBound> devices(problem_.cluster->device_count());
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    const auto replicas = static_cast<std::int64_t>(stage.devices.size());
    for (std::size_t r = 0; r < stage.devices.size(); ++r) {
      const DeviceKindId kind = problem_.cluster->device(stage.devices[r]).kind;
      const ReplicaSeconds& seconds = layout.stages[s].replicas[r];
      const std::int64_t micro_batches = (plan.micro_batches - static_cast<std::int64_t>(r) + replicas - 1) / replicas;
      const auto count = static_cast<double>(micro_batches);
      const double update_time = update(stage.first_unit, stage.end_unit, kind).value();
      DeviceBound& device = devices[stage.devices[r].index()];
      device.work += count * (seconds.forward + seconds.backward) +
                     static_cast<double>(recomputed(stage, r, plan.micro_batches)) * seconds.forward;
      if (s + 1 == stages.size())
        device.work += count * loss(kind, problem_.training.global_batch / plan.micro_batches).value();
      device.updates += update_time;
      device.head = std::min(device.head, stages[s].head);
      device.tail = std::min(device.tail, stages[s].tail);
      device.reduced = std::min(device.reduced, stages[s].last_reduction + update_time);
    }
  }
  double bound = 0.0;
  for (const DeviceBound& device : devices)
    if (device.work > 0.0)
      bound = std::max(bound, device.head + device.work + std::max({device.tail, device.updates, device.reduced}));
  return Seconds(bound * (1.0 - 1e-9));
}

}  // namespace gabra
