// SPDX-License-Identifier: MIT
#include "stage_layout.hpp"

#include <algorithm>
#include <limits>

namespace gabra {
namespace {

void add_edges(const Network& network, const Plan& plan, std::int64_t micro_batch, std::int64_t element,
               PlanLayout& layout) {
  std::vector<std::int32_t> stage_of(network.unit_count());
  for (std::size_t s = 0; s < plan.stages.size(); ++s)
    for (std::int32_t u = plan.stages[s].first_unit; u < plan.stages[s].end_unit; ++u)
      stage_of[static_cast<std::size_t>(u)] = static_cast<std::int32_t>(s);
  for (std::size_t t = 0; t < network.unit_tensors().size(); ++t) {
    const UnitTensor& tensor = network.unit_tensors()[t];
    const std::int32_t from = stage_of[tensor.producer.index()];
    if (stage_of[tensor.consumers.back().index()] == from) continue;
    StageLayout& source = layout.stages[static_cast<std::size_t>(from)];
    const Stage& source_stage = plan.stages[static_cast<std::size_t>(from)];
    const Bytes bytes(tensor.elements * micro_batch * element);
    const auto output = static_cast<std::int32_t>(source.outputs.size());
    source.outputs.push_back({is_saved_within(tensor, source_stage.first_unit, source_stage.end_unit), bytes, 0});
    // Consumers ascend, so the ones in a stage stand together and the first is the lowest.
    std::int32_t previous = from;
    for (const UnitId consumer : tensor.consumers) {
      const std::int32_t to = stage_of[consumer.index()];
      if (to == previous) continue;
      previous = to;
      const Stage& target = plan.stages[static_cast<std::size_t>(to)];
      const auto edge = static_cast<std::int32_t>(layout.edges.size());
      layout.edges.push_back({static_cast<std::int32_t>(t), from, to, consumer.value(), output, bytes,
                              tensor.needs_gradient, is_saved_within(tensor, target.first_unit, target.end_unit)});
      ++source.outputs.back().readers;
      source.outgoing.push_back(edge);
      layout.stages[static_cast<std::size_t>(to)].incoming.push_back(edge);
    }
  }
}

ReplicaSeconds replica_seconds(CostModel& costs, const Stage& stage, const std::vector<Bucket>& buckets,
                               DeviceKindId kind, std::int64_t micro_batch) {
  const SpanSeconds whole = costs.span(stage.first_unit, stage.end_unit, kind, micro_batch);
  ReplicaSeconds seconds{whole.forward.value(), whole.backward.value(), {}};
  // A host that launches ahead does not wait between segments: they share the time of the whole in proportion.
  double sum = 0.0;
  for (const Bucket& bucket : buckets) {
    seconds.segments.push_back(costs.span(bucket.first, bucket.end, kind, micro_batch).backward.value());
    sum += seconds.segments.back();
  }
  if (sum > 0.0)
    for (double& segment : seconds.segments) segment *= seconds.backward / sum;
  const double overhead = costs.problem().cluster->kind(kind).instruction_overhead.value();
  seconds.forward += overhead;
  seconds.backward += overhead;
  for (double& segment : seconds.segments) segment += overhead;
  return seconds;
}

std::int64_t limit_of(const Plan& plan, std::size_t s) {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  if (plan.schedule == Schedule::Sequential) return s == 0 ? 1 : kNone;
  if (plan.schedule == Schedule::GPipe) return kNone;
  std::int64_t later = 0;
  for (std::size_t t = s; t < plan.stages.size(); ++t)
    later += static_cast<std::int64_t>(plan.stages[t].devices.size());
  const auto own = static_cast<std::int64_t>(plan.stages[s].devices.size());
  return (later + own - 1) / own;
}

}  // namespace

std::vector<Bucket> make_buckets(const CostModel& costs, std::int32_t first, std::int32_t end, Bytes target) {
  const Problem& problem = costs.problem();
  const std::int64_t per_parameter = parameter_bytes(problem.training).gradient;
  std::vector<Bucket> buckets;
  Bucket open{end, end, Bytes(0)};
  for (std::int32_t unit = end; unit-- > first;) {
    open.first = unit;
    open.bytes += Bytes(costs.parameters(unit, unit + 1) * per_parameter);
    if (open.bytes.value() > 0 && open.bytes >= target) {
      buckets.push_back(open);
      open = {unit, unit, Bytes(0)};
    }
  }
  if (open.bytes.value() > 0)
    buckets.push_back(open);
  else if (!buckets.empty())
    buckets.back().first = first;
  return buckets;
}

PlanLayout lay_out(CostModel& costs, const Plan& plan) {
  const Problem& problem = costs.problem();
  const std::int64_t micro_batch = problem.training.global_batch / plan.micro_batches;
  PlanLayout layout;
  layout.stages.resize(plan.stages.size());
  add_edges(*problem.network, plan, micro_batch, bytes_per_element(problem.training.precision), layout);
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    StageLayout& result = layout.stages[s];
    if (stage.devices.size() > 1) result.buckets = make_buckets(costs, stage.first_unit, stage.end_unit, plan.bucket);
    for (std::size_t r = 0; r < stage.devices.size(); ++r) {
      const DeviceKindId kind = problem.cluster->device(stage.devices[r]).kind;
      const bool is_known = r > 0 && kind == problem.cluster->device(stage.devices[r - 1]).kind;
      result.replicas.push_back(is_known ? result.replicas.back()
                                         : replica_seconds(costs, stage, result.buckets, kind, micro_batch));
    }
    result.limit = limit_of(plan, s);
    const SpanSizes& sizes = costs.sizes(stage.first_unit, stage.end_unit);
    result.saved = sizes.saved * micro_batch;
    result.forward_workspace = largest(sizes.forward_workspaces, micro_batch);
    result.backward_workspace = largest(sizes.backward_workspaces, micro_batch);
    result.input = sizes.input * micro_batch;
    result.is_input_saved = sizes.is_input_saved;
  }
  return layout;
}

}  // namespace gabra
