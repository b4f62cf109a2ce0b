// SPDX-License-Identifier: MIT
#include "scheduler.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <functional>

namespace gabra {
namespace {

/// Sorts by micro-batch, then latest stage first.
std::int64_t backward_key(std::int32_t stage, std::int32_t m) {
  constexpr std::int64_t kStages = std::int64_t{1} << 31;
  return static_cast<std::int64_t>(m) * kStages + (kStages - 1 - stage);
}
std::pair<std::int32_t, std::int32_t> task_of(std::int64_t key) {
  constexpr std::int64_t kStages = std::int64_t{1} << 31;
  return {static_cast<std::int32_t>(kStages - 1 - key % kStages), static_cast<std::int32_t>(key / kStages)};
}

Instruction compute(Opcode opcode, std::int32_t stage, std::int32_t m, DeviceId device, double seconds) {
  Instruction instruction;
  instruction.opcode = opcode;
  instruction.stage = StageId(stage);
  instruction.micro_batch = m;
  instruction.device = device;
  instruction.seconds = Seconds(seconds);
  return instruction;
}

}  // namespace

Scheduler::Scheduler(CostModel& costs, const Plan& plan)
    : costs_(costs),
      plan_(plan),
      layout_(lay_out(costs, plan)),
      builder_(costs, plan),
      width_(static_cast<std::size_t>(plan.micro_batches)),
      devices_(costs.problem().cluster->device_count()) {
  const std::size_t stages = plan.stages.size();
  const std::size_t tasks = stages * width_;
  forward_missing_.resize(tasks);
  backward_missing_.resize(tasks);
  forwards_.resize(tasks);
  backwards_.resize(tasks);
  loads_.resize(tasks);
  losses_.resize(width_);
  loss_sizes_ = costs.loss_sizes(costs.problem().training.global_batch / plan.micro_batches);
  const std::size_t messages = layout_.edges.size() * width_;
  received_.resize(messages);
  received_gradients_.resize(messages);
  sends_.resize(messages);
  gradient_sends_.resize(messages);
  stage_forwards_left_.assign(stages, plan.micro_batches);
  route_free_.assign(devices_.size() * devices_.size(), 0.0);
  std::size_t bucket_count = 0;
  std::size_t replica_count = 0;
  for (std::size_t s = 0; s < stages; ++s) {
    const Stage& stage = plan.stages[s];
    const StageLayout& layout = layout_.stages[s];
    bucket_offsets_.push_back(bucket_count);
    replica_offsets_.push_back(replica_count);
    bucket_count += layout.buckets.size();
    replica_count += stage.devices.size();
    std::int32_t gradients = 1;
    for (const std::int32_t e : layout.outgoing) gradients += layout_.edges[static_cast<std::size_t>(e)].needs_gradient;
    for (std::size_t m = 0; m < width_; ++m) {
      forward_missing_[s * width_ + m] = static_cast<std::int32_t>(layout.incoming.size());
      backward_missing_[s * width_ + m] = gradients;
    }
    std::vector<std::int32_t> readers;
    for (const Output& output : layout.outputs) readers.insert(readers.end(), width_, output.readers);
    output_readers_.push_back(std::move(readers));
    std::vector<Replica> replicas(stage.devices.size());
    for (std::size_t r = 0; r < replicas.size(); ++r) {
      replicas[r].next = static_cast<std::int64_t>(r);
      replicas[r].forwards_left = static_cast<std::int64_t>((width_ - r + replicas.size() - 1) / replicas.size());
      replicas[r].backwards_left = replicas[r].forwards_left;
      DeviceState& device = devices_[stage.devices[r].index()];
      device.forwards_left += replicas[r].forwards_left;
      device.stages.insert(device.stages.begin(), static_cast<std::int32_t>(s));
    }
    replicas_.push_back(std::move(replicas));
  }
  bucket_counts_.assign(bucket_count, 0);
  stage_reductions_.resize(replica_count);
}

std::size_t Scheduler::replica_index(std::int32_t stage, std::int32_t m) const {
  return static_cast<std::size_t>(m) % plan_.stages[static_cast<std::size_t>(stage)].devices.size();
}

DeviceId Scheduler::device_of(std::int32_t stage, std::int32_t m) const {
  return plan_.stages[static_cast<std::size_t>(stage)].devices[replica_index(stage, m)];
}

bool Scheduler::recomputes(std::int32_t stage, std::int32_t m) const {
  const Stage& own = plan_.stages[static_cast<std::size_t>(stage)];
  if (own.recompute == Recompute::Never) return false;
  const bool is_last = static_cast<std::size_t>(m) + own.devices.size() >= width_;
  return own.recompute == Recompute::Always || !is_last;
}

bool Scheduler::keeps_input(const Edge& edge, std::int32_t m) const { return edge.is_saved || recomputes(edge.to, m); }

void Scheduler::push(Event event) {
  event.sequence = sequence_++;
  events_.push_back(event);
  std::push_heap(events_.begin(), events_.end());
}

void Scheduler::touch(DeviceId device) {
  DeviceState& state = devices_[device.index()];
  if (state.is_touched) return;
  state.is_touched = true;
  touched_.push_back(device);
}

Program Scheduler::run() {
  for (std::size_t s = 0; s < plan_.stages.size(); ++s)
    if (layout_.stages[s].incoming.empty())
      for (const DeviceId device : plan_.stages[s].devices) touch(device);
  double now = 0.0;
  while (true) {
    std::sort(touched_.begin(), touched_.end());
    // Starting a task touches nobody, so the list does not change under the loop.
    for (const DeviceId device : touched_) {
      devices_[device.index()].is_touched = false;
      dispatch(device, now);
    }
    touched_.clear();
    if (events_.empty()) break;
    now = events_.front().time;
    while (!events_.empty() && events_.front().time == now) {
      const Event event = events_.front();
      std::pop_heap(events_.begin(), events_.end());
      events_.pop_back();
      if (event.kind == EventKind::ForwardDone) finish_forward(event);
      if (event.kind == EventKind::SegmentDone) finish_segment(event);
      if (event.kind == EventKind::Arrival) arrive(event);
    }
  }
  for (const auto& stage : replicas_)
    for (const Replica& replica : stage) GABRA_CHECK(replica.backwards_left == 0, "the schedule stalled");
  add_updates();
  return builder_.finish(costs_.problem().training.global_batch, plan_.micro_batches, outlines());
}

std::vector<StageOutline> Scheduler::outlines() const {
  std::vector<StageOutline> result;
  for (std::size_t s = 0; s < plan_.stages.size(); ++s) {
    const Stage& stage = plan_.stages[s];
    StageOutline& outline = result.emplace_back(StageOutline{{stage.first_unit, stage.end_unit}, stage.devices, {}});
    for (const Bucket& bucket : layout_.stages[s].buckets) outline.buckets.push_back({bucket.first, bucket.end});
  }
  return result;
}

void Scheduler::dispatch(DeviceId device, double now) {
  DeviceState& state = devices_[device.index()];
  if (state.is_busy) return;
  const bool may_go_back = plan_.schedule != Schedule::GPipe || state.forwards_left == 0;
  if (may_go_back && !state.ready_backwards.empty()) {
    std::pop_heap(state.ready_backwards.begin(), state.ready_backwards.end(), std::greater<>());
    const auto [stage, m] = task_of(state.ready_backwards.back());
    state.ready_backwards.pop_back();
    start_backward(stage, m, now);
    return;
  }
  for (const std::int32_t stage : state.stages) {
    const auto s = static_cast<std::size_t>(stage);
    for (std::size_t r = 0; r < replicas_[s].size(); ++r) {
      if (plan_.stages[s].devices[r] != device) continue;
      const Replica& replica = replicas_[s][r];
      if (replica.forwards_left == 0 || replica.in_flight >= layout_.stages[s].limit) continue;
      const auto m = static_cast<std::int32_t>(replica.next);
      if (forward_missing_[task(stage, m)] > 0) continue;
      start_forward(stage, m, now);
      return;
    }
  }
}

InstructionId Scheduler::add_load(std::int32_t stage, std::int32_t m) {
  const StageLayout& layout = layout_.stages[static_cast<std::size_t>(stage)];
  if (layout.input.value() == 0) return {};
  const DeviceId device = device_of(stage, m);
  Instruction load = compute(Opcode::Load, stage, m, device, 0.0);
  load.bytes = layout.input;
  // One ahead of the computation, no further: what waits for its turn would only take memory.
  const InstructionId id = builder_.add(StreamKind::Load, load, {builder_.second_last_compute(device)});
  builder_.take(id, MemoryCategory::Activations, layout.input);
  loads_[task(stage, m)] = id;
  return id;
}

void Scheduler::start_forward(std::int32_t stage, std::int32_t m, double now) {
  const auto s = static_cast<std::size_t>(stage);
  const StageLayout& layout = layout_.stages[s];
  const DeviceId device = device_of(stage, m);
  Replica& replica = replicas_[s][replica_index(stage, m)];
  after_.clear();
  after_.push_back(add_load(stage, m));
  for (const std::int32_t e : layout.incoming)
    after_.push_back(received_[static_cast<std::size_t>(e) * width_ + static_cast<std::size_t>(m)]);
  double seconds = layout.replicas[replica_index(stage, m)].forward;
  const InstructionId id =
      builder_.add(StreamKind::Compute, compute(Opcode::Forward, stage, m, device, seconds), after_);
  forwards_[task(stage, m)] = id;
  builder_.take(id, recomputes(stage, m) ? MemoryCategory::Workspace : MemoryCategory::Activations, layout.saved);
  builder_.take(id, MemoryCategory::Workspace, layout.forward_workspace);
  for (const Output& output : layout.outputs)
    if (!output.is_saved || recomputes(stage, m)) builder_.take(id, MemoryCategory::Buffers, output.bytes);
  if (is_last(stage)) {
    const double loss = costs_
                            .loss(costs_.problem().cluster->device(device).kind,
                                  costs_.problem().training.global_batch / plan_.micro_batches)
                            .value();
    losses_[static_cast<std::size_t>(m)] =
        builder_.add(StreamKind::Compute, compute(Opcode::Loss, stage, m, device, loss), {});
    seconds += loss;
  }
  replica.next += static_cast<std::int64_t>(replicas_[s].size());
  --replica.forwards_left;
  ++replica.in_flight;
  devices_[device.index()].is_busy = true;
  push({now + seconds, 0, EventKind::ForwardDone, false, stage, m, -1});
}

void Scheduler::finish_forward(const Event& event) {
  const std::int32_t stage = event.subject;
  const std::int32_t m = event.micro_batch;
  const StageLayout& layout = layout_.stages[static_cast<std::size_t>(stage)];
  const InstructionId id = forwards_[task(stage, m)];
  const DeviceId device = device_of(stage, m);
  builder_.give_back(id, MemoryCategory::Workspace, layout.forward_workspace);
  if (recomputes(stage, m)) builder_.give_back(id, MemoryCategory::Workspace, layout.saved);
  if (!layout.is_input_saved && !recomputes(stage, m))
    builder_.give_back(id, MemoryCategory::Activations, layout.input);
  for (const std::int32_t e : layout.incoming) {
    const Edge& edge = layout_.edges[static_cast<std::size_t>(e)];
    if (!keeps_input(edge, m)) release_input(edge, m, id);
  }
  if (const InstructionId loss = losses_[static_cast<std::size_t>(m)]; is_last(stage)) {
    builder_.take(loss, MemoryCategory::Workspace, loss_sizes_.peak - loss_sizes_.gradient);
    builder_.take(loss, MemoryCategory::Buffers, loss_sizes_.gradient);
    builder_.give_back(loss, MemoryCategory::Workspace, loss_sizes_.peak - loss_sizes_.gradient);
  }
  DeviceState& state = devices_[device.index()];
  state.is_busy = false;
  --state.forwards_left;
  touch(device);
  for (const std::int32_t e : layout.outgoing) transfer(e, m, false, id, event.time);
  satisfy_backward(stage, m);
  if (--stage_forwards_left_[static_cast<std::size_t>(stage)] == 0) {
    const Stage& own = plan_.stages[static_cast<std::size_t>(stage)];
    const std::int64_t buffers = costs_.buffers(own.first_unit, own.end_unit);
    if (own.devices.size() > 1 && buffers > 0) {
      after_.clear();
      for (std::size_t r = 0; r < own.devices.size(); ++r) {
        const std::size_t last = width_ - 1 - (width_ - 1 - r) % own.devices.size();
        after_.push_back(forwards_[task(stage, static_cast<std::int32_t>(last))]);
      }
      builder_.add_collective(Opcode::CombineStatistics, StageId(stage), -1,
                              Bytes(buffers * statistic_bytes(costs_.problem().training)), own.devices, after_);
    }
  }
}

void Scheduler::start_backward(std::int32_t stage, std::int32_t m, double now) {
  const auto s = static_cast<std::size_t>(stage);
  const StageLayout& layout = layout_.stages[s];
  const std::size_t r = replica_index(stage, m);
  const DeviceId device = device_of(stage, m);
  Replica& replica = replicas_[s][r];
  const ReplicaSeconds& seconds = layout.replicas[r];
  devices_[device.index()].is_busy = true;
  if (recomputes(stage, m)) {
    const InstructionId again =
        builder_.add(StreamKind::Compute, compute(Opcode::Recompute, stage, m, device, seconds.forward), {});
    builder_.take(again, MemoryCategory::Activations, layout.saved);
    builder_.take(again, MemoryCategory::Workspace, layout.forward_workspace);
    builder_.give_back(again, MemoryCategory::Workspace, layout.forward_workspace);
    now += seconds.forward;
  }
  after_.clear();
  for (const std::int32_t e : layout.outgoing)
    after_.push_back(received_gradients_[static_cast<std::size_t>(e) * width_ + static_cast<std::size_t>(m)]);
  const bool is_cut = replica.backwards_left == 1 && !layout.buckets.empty();
  const std::size_t pieces = is_cut ? layout.buckets.size() : 1;
  for (std::size_t k = 0; k < pieces; ++k) {
    Instruction piece = compute(Opcode::Backward, stage, m, device, is_cut ? seconds.segments[k] : seconds.backward);
    piece.segment = is_cut ? static_cast<std::int32_t>(k) : -1;
    const InstructionId id = builder_.add(StreamKind::Compute, piece, k == 0 ? after_ : std::vector<InstructionId>{});
    if (k == 0) backwards_[task(stage, m)] = id;
    if (is_cut) replica.segments.push_back(id);
    now += piece.seconds.value();
    push({now, 0, EventKind::SegmentDone, false, stage, m, piece.segment});
  }
  const InstructionId first = backwards_[task(stage, m)];
  builder_.take(first, MemoryCategory::Workspace, layout.backward_workspace);
  if (is_last(stage))
    builder_.take(first, MemoryCategory::Buffers, Bytes(-loss_sizes_.gradient.value()));  // the workspace has it
  for (const std::int32_t e : layout.incoming) {
    const Edge& edge = layout_.edges[static_cast<std::size_t>(e)];
    if (edge.needs_gradient) builder_.take(first, MemoryCategory::Buffers, edge.bytes);
  }
}

void Scheduler::finish_segment(const Event& event) {
  const std::int32_t stage = event.subject;
  const std::int32_t m = event.micro_batch;
  const auto s = static_cast<std::size_t>(stage);
  const StageLayout& layout = layout_.stages[s];
  const bool is_cut = event.segment >= 0;
  const std::size_t r = replica_index(stage, m);
  const InstructionId id =
      is_cut ? replicas_[s][r].segments[static_cast<std::size_t>(event.segment)] : backwards_[task(stage, m)];
  const Bucket whole{plan_.stages[s].first_unit, plan_.stages[s].end_unit, {}};
  const Bucket& bucket = is_cut ? layout.buckets[static_cast<std::size_t>(event.segment)] : whole;
  for (const std::int32_t e : layout.incoming) {
    const Edge& edge = layout_.edges[static_cast<std::size_t>(e)];
    if (edge.needs_gradient && edge.first_reader >= bucket.first && edge.first_reader < bucket.end)
      transfer(e, m, true, id, event.time);
  }
  if (is_cut) reduce_if_ready(stage, event.segment);
  if (!is_cut || static_cast<std::size_t>(event.segment) + 1 == layout.buckets.size()) finish_backward(stage, m, id);
}

void Scheduler::finish_backward(std::int32_t stage, std::int32_t m, InstructionId last) {
  const auto s = static_cast<std::size_t>(stage);
  const StageLayout& layout = layout_.stages[s];
  builder_.give_back(last, MemoryCategory::Workspace, layout.backward_workspace);
  builder_.give_back(last, MemoryCategory::Activations, layout.saved);
  if (layout.is_input_saved || recomputes(stage, m))
    builder_.give_back(last, MemoryCategory::Activations, layout.input);
  for (const std::int32_t e : layout.incoming) {
    const Edge& edge = layout_.edges[static_cast<std::size_t>(e)];
    if (keeps_input(edge, m)) release_input(edge, m, last);
  }
  for (const std::int32_t e : layout.outgoing) {
    const Edge& edge = layout_.edges[static_cast<std::size_t>(e)];
    if (edge.needs_gradient) builder_.give_back(last, MemoryCategory::Buffers, edge.bytes);
  }
  Replica& replica = replicas_[s][replica_index(stage, m)];
  --replica.in_flight;
  --replica.backwards_left;
  const DeviceId device = device_of(stage, m);
  devices_[device.index()].is_busy = false;
  touch(device);
}

/// The reader of `edge` needs its tensor no more: on another device its copy goes, on the same one it let go of the
/// producer's.
void Scheduler::release_input(const Edge& edge, std::int32_t m, InstructionId by) {
  if (device_of(edge.from, m) == device_of(edge.to, m))
    release_output(edge, m, by);
  else
    builder_.give_back(by, edge.is_saved ? MemoryCategory::Activations : MemoryCategory::Buffers, edge.bytes);
}

/// One use less of an output on its producer's device: sent, or read there. The last use gives it back, unless the
/// producer keeps it for its own backward.
void Scheduler::release_output(const Edge& edge, std::int32_t m, InstructionId by) {
  const auto from = static_cast<std::size_t>(edge.from);
  const auto output = static_cast<std::size_t>(edge.output);
  const bool is_kept = layout_.stages[from].outputs[output].is_saved && !recomputes(edge.from, m);
  std::int32_t& readers = output_readers_[from][output * width_ + static_cast<std::size_t>(m)];
  if (--readers == 0 && !is_kept) builder_.give_back(by, MemoryCategory::Buffers, edge.bytes);
}

void Scheduler::transfer(std::int32_t edge_index, std::int32_t m, bool is_gradient, InstructionId after, double now) {
  const Edge& edge = layout_.edges[static_cast<std::size_t>(edge_index)];
  const std::int32_t source = is_gradient ? edge.to : edge.from;
  const std::int32_t target = is_gradient ? edge.from : edge.to;
  const DeviceId from = device_of(source, m);
  const DeviceId to = device_of(target, m);
  if (from == to) {
    if (is_gradient)
      satisfy_backward(target, m);
    else
      satisfy_forward(target, m);
    return;
  }
  Instruction message;
  message.is_gradient = is_gradient;
  message.micro_batch = m;
  message.tensor = edge.tensor;
  message.bytes = edge.bytes;
  const auto [send, receive] = builder_.add_transfer(message, StageId(source), StageId(target), from, to, after);
  const std::size_t slot = static_cast<std::size_t>(edge_index) * width_ + static_cast<std::size_t>(m);
  (is_gradient ? received_gradients_ : received_)[slot] = receive;
  (is_gradient ? gradient_sends_ : sends_)[slot] = send;
  builder_.take(receive, !is_gradient && edge.is_saved ? MemoryCategory::Activations : MemoryCategory::Buffers,
                edge.bytes);
  const Route& route = costs_.problem().cluster->route(from, to);
  double& free = route_free_[from.index() * devices_.size() + to.index()];
  free = std::max(free, now) + (route.latency + edge.bytes / route.bandwidth).value();
  push({free, 0, EventKind::Arrival, is_gradient, edge_index, m, -1});
}

void Scheduler::arrive(const Event& event) {
  const Edge& edge = layout_.edges[static_cast<std::size_t>(event.subject)];
  const std::int32_t m = event.micro_batch;
  const std::size_t slot = static_cast<std::size_t>(event.subject) * width_ + static_cast<std::size_t>(m);
  builder_.arrive((event.is_gradient ? received_gradients_ : received_)[slot]);
  if (event.is_gradient) {
    builder_.give_back(gradient_sends_[slot], MemoryCategory::Buffers, edge.bytes);
    satisfy_backward(edge.from, m);
  } else {
    release_output(edge, m, sends_[slot]);
    satisfy_forward(edge.to, m);
  }
}

void Scheduler::satisfy_forward(std::int32_t stage, std::int32_t m) {
  if (--forward_missing_[task(stage, m)] == 0) touch(device_of(stage, m));
}

void Scheduler::satisfy_backward(std::int32_t stage, std::int32_t m) {
  if (--backward_missing_[task(stage, m)] > 0) return;
  const DeviceId device = device_of(stage, m);
  std::vector<std::int64_t>& ready = devices_[device.index()].ready_backwards;
  ready.push_back(backward_key(stage, m));
  std::push_heap(ready.begin(), ready.end(), std::greater<>());
  touch(device);
}

void Scheduler::reduce_if_ready(std::int32_t stage, std::int32_t bucket) {
  const auto s = static_cast<std::size_t>(stage);
  const auto k = static_cast<std::size_t>(bucket);
  const std::vector<DeviceId>& devices = plan_.stages[s].devices;
  if (++bucket_counts_[bucket_offsets_[s] + k] < static_cast<std::int32_t>(devices.size())) return;
  after_.clear();
  for (const Replica& replica : replicas_[s]) after_.push_back(replica.segments[k]);
  builder_.add_collective(Opcode::AllReduce, StageId(stage), bucket, layout_.stages[s].buckets[k].bytes, devices,
                          after_);
  for (std::size_t r = 0; r < devices.size(); ++r)
    stage_reductions_[replica_offsets_[s] + r] = builder_.last_collective(devices[r]);
}

void Scheduler::add_updates() {
  const Cluster& cluster = *costs_.problem().cluster;
  std::vector<InstructionId> clipped(devices_.size());
  if (costs_.problem().training.clip_norm) {
    const std::vector<DeviceId> used = builder_.devices();
    after_.clear();
    for (const DeviceId device : used) after_.push_back(builder_.last_compute(device));
    builder_.add_collective(Opcode::ClipNorm, StageId(), -1, Bytes(statistic_bytes(costs_.problem().training)), used,
                            after_);
    for (const DeviceId device : used) clipped[device.index()] = builder_.last_collective(device);
  }
  for (std::size_t s = plan_.stages.size(); s-- > 0;) {
    const Stage& stage = plan_.stages[s];
    for (std::size_t r = 0; r < stage.devices.size(); ++r) {
      const DeviceId device = stage.devices[r];
      const double seconds = costs_.update(stage.first_unit, stage.end_unit, cluster.device(device).kind).value();
      builder_.add(StreamKind::Compute, compute(Opcode::Update, static_cast<std::int32_t>(s), -1, device, seconds),
                   {stage_reductions_[replica_offsets_[s] + r], clipped[device.index()]});
    }
  }
}

}  // namespace gabra
