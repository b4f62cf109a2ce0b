// SPDX-License-Identifier: MIT
#include "program_builder.hpp"

#include <algorithm>

namespace gabra {

ProgramBuilder::ProgramBuilder(const CostModel& costs, const Plan& plan) {
  const Problem& problem = costs.problem();
  const std::size_t count = problem.cluster->device_count();
  const ParameterBytes bytes = parameter_bytes(problem.training);
  states_.resize(count);
  program_.static_memory.resize(count);
  program_.peak_memory.resize(count);
  for (const Stage& stage : plan.stages) {
    const std::int64_t parameters = costs.parameters(stage.first_unit, stage.end_unit);
    const std::int64_t buffers = costs.buffers(stage.first_unit, stage.end_unit);
    for (const DeviceId device : stage.devices) {
      states_[device.index()].position = 0;
      MemoryBreakdown& memory = program_.static_memory[device.index()];
      const auto add = [&memory](MemoryCategory category, std::int64_t amount) {
        memory[static_cast<std::size_t>(category)] += Bytes(amount);
      };
      add(MemoryCategory::Weights, parameters * bytes.weight + buffers * 4);
      add(MemoryCategory::Gradients, parameters * bytes.gradient);
      add(MemoryCategory::OptimizerState, parameters * bytes.optimizer_state);
    }
  }
  for (std::size_t d = 0; d < count; ++d) {
    if (states_[d].position < 0) continue;
    const DeviceId device(d);
    states_[d].position = static_cast<std::int32_t>(program_.devices.size());
    program_.devices.push_back(device);
    MemoryBreakdown& memory = program_.static_memory[d];
    memory[static_cast<std::size_t>(MemoryCategory::Base)] = problem.cluster->kind_of(device).base_memory;
  }
  // A forward and a backward per task, with a transfer each way, cover most plans.
  const std::size_t tasks = plan.stages.size() * static_cast<std::size_t>(plan.micro_batches);
  program_.instructions.reserve(6 * tasks + 8 * program_.devices.size());
  program_.predecessors.offsets.reserve(6 * tasks + 8 * program_.devices.size());
  program_.predecessors.targets.reserve(10 * tasks + 16 * program_.devices.size());
  program_.memory_events.reserve(12 * tasks);
  peer_streams_.assign(2 * program_.devices.size() * program_.devices.size(), -1);
  program_.predecessors.offsets.push_back(0);
}

std::int32_t& ProgramBuilder::stream_slot(DeviceId device, StreamKind kind, DeviceId peer) {
  DeviceState& state = states_[device.index()];
  switch (kind) {
    case StreamKind::Load:
      return state.load;
    case StreamKind::Compute:
      return state.compute;
    case StreamKind::Collective:
      return state.collective;
    default:
      break;
  }
  const auto own = static_cast<std::size_t>(state.position);
  const auto other = static_cast<std::size_t>(of(peer).position);
  const std::size_t side = kind == StreamKind::Send ? 0 : 1;
  return peer_streams_[2 * (own * program_.devices.size() + other) + side];
}

InstructionId ProgramBuilder::add(StreamKind kind, Instruction instruction, std::span<const InstructionId> after) {
  const InstructionId id(program_.instructions.size());
  std::int32_t& slot = stream_slot(instruction.device, kind, instruction.peer);
  if (slot < 0) {
    slot = static_cast<std::int32_t>(program_.streams.size());
    program_.streams.push_back({instruction.device, kind, instruction.peer});
    last_on_stream_.emplace_back();
  }
  instruction.stream = StreamId(slot);
  InstructionId& last = last_on_stream_[instruction.stream.index()];
  std::vector<InstructionId>& targets = program_.predecessors.targets;
  if (last.is_valid()) targets.push_back(last);
  for (const InstructionId before : after)
    if (before.is_valid() && before != last) targets.push_back(before);
  program_.predecessors.offsets.push_back(static_cast<std::int32_t>(targets.size()));
  last = id;
  if (kind == StreamKind::Compute) {
    DeviceState& state = states_[instruction.device.index()];
    state.second_last_compute = state.last_compute;
    state.last_compute = id;
  }
  program_.instructions.push_back(instruction);
  return id;
}

std::pair<InstructionId, InstructionId> ProgramBuilder::add_transfer(Instruction transfer, StageId from_stage,
                                                                     StageId to_stage, DeviceId from, DeviceId to,
                                                                     InstructionId after) {
  transfer.opcode = Opcode::Send;
  transfer.stage = from_stage;
  transfer.device = from;
  transfer.peer = to;
  const InstructionId send = add(StreamKind::Send, transfer, {after});
  transfer.opcode = Opcode::Receive;
  transfer.stage = to_stage;
  transfer.device = to;
  transfer.peer = from;
  const InstructionId receive = add(StreamKind::Receive, transfer, {});
  program_.instructions[send.index()].partner = receive;
  program_.instructions[receive.index()].partner = send;
  return {send, receive};
}

std::int32_t ProgramBuilder::add_collective(Opcode opcode, StageId stage, std::int32_t bucket, Bytes bytes,
                                            std::span<const DeviceId> devices, std::span<const InstructionId> after) {
  const auto index = static_cast<std::int32_t>(program_.collectives.size());
  Collective collective{{}, {devices.begin(), devices.end()}, bytes};
  for (std::size_t i = 0; i < devices.size(); ++i) {
    Instruction member;
    member.opcode = opcode;
    member.stage = stage;
    member.segment = bucket;
    member.device = devices[i];
    member.bytes = bytes;
    member.collective = index;
    collective.members.push_back(add(StreamKind::Collective, member, {after[i]}));
  }
  program_.collectives.push_back(std::move(collective));
  return index;
}

InstructionId ProgramBuilder::last_collective(DeviceId device) const {
  const std::int32_t stream = of(device).collective;
  return stream < 0 ? InstructionId() : last_on_stream_[static_cast<std::size_t>(stream)];
}

void ProgramBuilder::change_memory(InstructionId instruction, bool at_end, MemoryCategory category, Bytes delta) {
  if (delta.value() == 0) return;
  const DeviceId device = program_.instructions[instruction.index()].device;
  program_.memory_events.push_back({instruction, at_end, category, device, delta});
}

void ProgramBuilder::take(InstructionId instruction, MemoryCategory category, Bytes amount) {
  change_memory(instruction, false, category, amount);
}

void ProgramBuilder::give_back(InstructionId instruction, MemoryCategory category, Bytes amount) {
  change_memory(instruction, true, category, Bytes(-amount.value()));
}

void ProgramBuilder::arrive(InstructionId receive) { arrivals_.emplace_back(receive, program_.memory_events.size()); }

/// A Receive's buffer was taken when its Send began, in planned order; it is there since the Receive before it on its
/// stream was done, or from the start.
void ProgramBuilder::move_posted_buffers() {
  if (arrivals_.empty()) return;
  std::vector<std::size_t> positions(program_.instructions.size(), 0);
  for (const auto& [receive, position] : arrivals_) positions[receive.index()] = position;
  std::vector<std::pair<std::size_t, MemoryEvent>> posted;
  std::vector<MemoryEvent> others;
  std::vector<std::size_t> places;  // of the others
  for (std::size_t i = 0; i < program_.memory_events.size(); ++i) {
    const MemoryEvent& event = program_.memory_events[i];
    if (program_.instructions[event.instruction.index()].opcode == Opcode::Receive && !event.at_end) {
      const auto before = program_.predecessors.of(event.instruction);
      posted.emplace_back(before.empty() ? 0 : positions[before[0].index()], event);
    } else {
      others.push_back(event);
      places.push_back(i);
    }
  }
  std::stable_sort(posted.begin(), posted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  program_.memory_events.clear();
  std::size_t next = 0;
  for (std::size_t i = 0; i < others.size(); ++i) {
    for (; next < posted.size() && posted[next].first <= places[i]; ++next)
      program_.memory_events.push_back(posted[next].second);
    program_.memory_events.push_back(others[i]);
  }
  for (; next < posted.size(); ++next) program_.memory_events.push_back(posted[next].second);
}

void ProgramBuilder::find_peaks() {
  std::vector<std::int64_t> in_use(states_.size(), 0);
  for (const DeviceId device : program_.devices) {
    for (const Bytes part : program_.static_memory[device.index()]) in_use[device.index()] += part.value();
    program_.peak_memory[device.index()] = Bytes(in_use[device.index()]);
  }
  for (const MemoryEvent& event : program_.memory_events) {
    in_use[event.device.index()] += event.delta.value();
    Bytes& peak = program_.peak_memory[event.device.index()];
    peak = std::max(peak, Bytes(in_use[event.device.index()]));
  }
}

Program ProgramBuilder::finish(std::int64_t samples, std::int64_t micro_batches, std::vector<StageOutline> stages) {
  program_.samples = samples;
  program_.micro_batches = micro_batches;
  program_.stages = std::move(stages);
  move_posted_buffers();
  find_peaks();
  // Successors by counting sort, so that they come in ascending order.
  const Adjacency& before = program_.predecessors;
  Adjacency& after = program_.successors;
  const std::size_t count = program_.instructions.size();
  after.offsets.assign(count + 1, 0);
  for (const InstructionId target : before.targets) ++after.offsets[target.index() + 1];
  for (std::size_t i = 0; i < count; ++i) after.offsets[i + 1] += after.offsets[i];
  after.targets.resize(before.targets.size());
  std::vector<std::int32_t> next(after.offsets.begin(), after.offsets.end() - 1);
  for (std::size_t i = 0; i < count; ++i)
    for (const InstructionId target : before.of(InstructionId(i)))
      after.targets[static_cast<std::size_t>(next[target.index()]++)] = InstructionId(i);
  return std::move(program_);
}

}  // namespace gabra
