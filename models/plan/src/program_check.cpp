// SPDX-License-Identifier: MIT
#include "gabra/plan/program.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra {
namespace {

/// The instruction that stands for a Send/Receive pair or a collective as one node of the DAG.
std::size_t node_of(const Program& program, std::size_t index) {
  const Instruction& instruction = program.instructions[index];
  if (instruction.collective >= 0)
    return program.collectives[static_cast<std::size_t>(instruction.collective)].members.front().index();
  if (instruction.partner.is_valid()) return std::min(index, instruction.partner.index());
  return index;
}

std::string find_broken_transfer(const Program& program) {
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& one = program.instructions[i];
    if (one.opcode != Opcode::Send && one.opcode != Opcode::Receive) continue;
    if (!one.partner.is_valid()) return fmt::format("instruction {}: {} has no partner", i, describe(one));
    const Instruction& other = program.instructions[one.partner.index()];
    const bool is_pair = other.partner == InstructionId(i) && other.opcode != one.opcode &&
                         (other.opcode == Opcode::Send || other.opcode == Opcode::Receive) &&
                         other.device == one.peer && other.peer == one.device && one.device != other.device &&
                         other.bytes == one.bytes && other.tensor == one.tensor &&
                         other.micro_batch == one.micro_batch && other.is_gradient == one.is_gradient;
    if (!is_pair) return fmt::format("instruction {}: {} and its partner differ", i, describe(one));
  }
  return {};
}

/// Kahn's algorithm over nodes; streams are part of the predecessors, which is checked too.
std::string find_cycle(const Program& program) {
  const std::size_t count = program.instructions.size();
  std::vector<std::int32_t> waiting(count, 0);
  std::vector<std::int32_t> last_on_stream(program.streams.size(), -1);
  for (std::size_t i = 0; i < count; ++i) {
    const InstructionId id(i);
    const auto before = program.predecessors.of(id);
    waiting[node_of(program, i)] += static_cast<std::int32_t>(before.size());
    std::int32_t& last = last_on_stream[program.instructions[i].stream.index()];
    if (last >= 0 && std::find(before.begin(), before.end(), InstructionId(last)) == before.end())
      return fmt::format("instruction {} does not wait for the one before it on its stream", i);
    last = id.value();
  }
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < count; ++i)
    if (node_of(program, i) == i && waiting[i] == 0) ready.push_back(i);
  std::size_t done = 0;
  const auto release = [&](InstructionId id) {
    ++done;
    for (const InstructionId next : program.successors.of(id)) {
      const std::size_t node = node_of(program, next.index());
      if (--waiting[node] == 0) ready.push_back(node);
    }
  };
  while (!ready.empty()) {
    const std::size_t node = ready.back();
    ready.pop_back();
    const Instruction& instruction = program.instructions[node];
    if (instruction.collective >= 0) {
      for (const InstructionId member : program.collectives[static_cast<std::size_t>(instruction.collective)].members)
        release(member);
    } else {
      release(InstructionId(node));
      if (instruction.partner.is_valid()) release(instruction.partner);
    }
  }
  if (done != count) return fmt::format("{} of {} instructions wait for each other", count - done, count);
  return {};
}

/// Forward, backward and segment counts per (stage, micro-batch); collectives and updates per stage.
std::string find_miscount(const Program& program, std::int64_t micro_batches, std::size_t stages) {
  const auto width = static_cast<std::size_t>(micro_batches);
  std::vector<std::int32_t> forward(stages * width, 0);
  std::vector<std::int32_t> backward(stages * width, 0);
  std::vector<std::int32_t> segments(stages, -1);
  std::vector<std::int32_t> buckets(stages, -1);
  std::vector<std::int32_t> replicas(stages, 0);
  const std::size_t devices = program.static_memory.size();
  std::vector<std::int8_t> works(stages * devices, 0);  // by stage and device: it runs forwards
  std::vector<std::int8_t> updates(stages * devices, 0);
  for (const Instruction& one : program.instructions) {
    const std::size_t stage = one.stage.is_valid() ? one.stage.index() : 0;
    const std::size_t task = stage * width + static_cast<std::size_t>(std::max(one.micro_batch, 0));
    if (one.opcode == Opcode::Forward) ++forward[task];
    if (one.opcode == Opcode::Backward && one.segment <= 0) ++backward[task];
    if (one.opcode == Opcode::Backward) segments[stage] = std::max(segments[stage], one.segment);
    const std::size_t replica = stage * devices + one.device.index();
    if (one.opcode == Opcode::Forward) works[replica] = 1;
    if (one.opcode == Opcode::Update) {
      ++updates[replica];
      ++replicas[stage];
    }
  }
  for (const Collective& collective : program.collectives) {
    const Instruction& first = program.instructions[collective.members.front().index()];
    if (first.opcode != Opcode::AllReduce) continue;
    const std::size_t stage = first.stage.index();
    if (first.segment != buckets[stage] + 1) return fmt::format("stage {}: buckets out of order", stage);
    buckets[stage] = first.segment;
    if (static_cast<std::int32_t>(collective.members.size()) != replicas[stage])
      return fmt::format("stage {}: an all-reduce leaves out a replica", stage);
  }
  for (std::size_t task = 0; task < forward.size(); ++task)
    if (forward[task] != 1 || backward[task] != 1)
      return fmt::format("stage {} micro-batch {}: {} forwards and {} backwards", task / width, task % width,
                         forward[task], backward[task]);
  if (works != updates) return "a replica is not updated exactly once";
  for (std::size_t stage = 0; stage < stages; ++stage)
    if (segments[stage] != buckets[stage])
      return fmt::format("stage {}: {} segments and {} buckets", stage, segments[stage] + 1, buckets[stage] + 1);
  return {};
}

}  // namespace

std::string find_violation(const Program& program, std::int64_t micro_batches, std::size_t stages) {
  if (std::string text = find_broken_transfer(program); !text.empty()) return text;
  if (std::string text = find_cycle(program); !text.empty()) return text;
  return find_miscount(program, micro_batches, stages);
}

}  // namespace gabra
