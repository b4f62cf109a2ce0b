// SPDX-License-Identifier: MIT
#include "transfer_lanes.hpp"

#include "gabra/core/check.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace gabra::exec {
namespace {

std::ptrdiff_t rank_of(const Program& program, DeviceId device) {
  return std::lower_bound(program.devices.begin(), program.devices.end(), device) - program.devices.begin();
}

}  // namespace

std::string describe_transfer(const Program& program, InstructionId id) {
  const Instruction& one = program.instructions[id.index()];
  std::string text = describe(one);
  if (one.opcode == Opcode::Send) text += fmt::format(" to rank {}", rank_of(program, one.peer));
  if (one.opcode == Opcode::Receive) text += fmt::format(" from rank {}", rank_of(program, one.peer));
  if (one.collective < 0) return text;
  std::vector<std::ptrdiff_t> others;
  for (const DeviceId device : program.collectives[static_cast<std::size_t>(one.collective)].devices)
    if (device != one.device) others.push_back(rank_of(program, device));
  return text + fmt::format(" with rank{} {}", others.size() == 1 ? "" : "s", fmt::join(others, ", "));
}

TransferLanes::TransferLanes(const Program& program, Communicator& communicator, CompletionFlags& flags,
                             SpanRecorder& spans)
    : program_(program), communicator_(communicator), flags_(flags), spans_(spans) {
  const DeviceId own = program.devices[static_cast<std::size_t>(communicator.rank())];
  for (std::size_t s = 0; s < program.streams.size(); ++s) {
    const Stream& stream = program.streams[s];
    if (stream.device != own || stream.kind == StreamKind::Load || stream.kind == StreamKind::Compute) continue;
    lanes_.emplace_back().stream = StreamId(s);
  }
}

void TransferLanes::push(Work work) {
  const StreamId stream = program_.instructions[work.instruction.index()].stream;
  const auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& one) { return one.stream == stream; });
  GABRA_CHECK(lane != lanes_.end(), describe(program_.instructions[work.instruction.index()]) + ": of another rank");
  if (lane->next == lane->works.size()) {
    lane->works.clear();
    lane->next = 0;
  }
  lane->works.push_back(std::move(work));
  ++left_;
}

bool TransferLanes::pump() {
  bool has_any = false;
  bool has_changed = true;
  while (has_changed) {
    has_changed = false;
    for (Lane& lane : lanes_) has_changed |= advance(lane);
    has_any |= has_changed;
  }
  return has_any;
}

bool TransferLanes::advance(Lane& lane) {
  if (lane.running) {
    if (!lane.running->test()) return false;
    end(lane);
    return true;
  }
  if (lane.next == lane.works.size() || !flags_.are_set(lane.works[lane.next].after)) return false;
  start(lane);
  return true;
}

void TransferLanes::start(Lane& lane) {
  const Work& work = lane.works[lane.next];
  const Instruction& instruction = program_.instructions[work.instruction.index()];
  lane.tensor = work.tensor();
  lane.begin = monotonic_seconds();
  lane.running = communicator_.start(
      {work.instruction, instruction.opcode, instruction.peer, instruction.collective, lane.tensor});
  ++running_;
  if (instruction.collective >= 0) ++running_collectives_;
}

void TransferLanes::end(Lane& lane) {
  lane.running.reset();
  const Work work = std::move(lane.works[lane.next++]);
  const double now = monotonic_seconds();
  spans_.set(work.instruction, lane.begin, now);
  work.done(std::move(lane.tensor));
  lane.tensor = at::Tensor();
  last_end_ = now;
  --running_;
  if (program_.instructions[work.instruction.index()].collective >= 0) --running_collectives_;
  --left_;
  flags_.set(work.instruction);
}

std::string TransferLanes::describe_wait(InstructionId id) const {
  const StreamId stream = program_.instructions[id.index()].stream;
  for (const Lane& lane : lanes_)
    if (lane.stream == stream && lane.running) return describe_transfer(program_, lane.works[lane.next].instruction);
  return describe_transfer(program_, id);
}

std::string TransferLanes::describe_any() const {
  for (const Lane& lane : lanes_)
    if (lane.next < lane.works.size()) return describe_transfer(program_, lane.works[lane.next].instruction);
  return "the next micro-batch's data";
}

void TransferLanes::abandon() {
  for (Lane& lane : lanes_) {
    lane.running.reset();
    lane.works.clear();
    lane.next = 0;
    lane.tensor = at::Tensor();
  }
  running_ = 0;
  running_collectives_ = 0;
  left_ = 0;
}

}  // namespace gabra::exec
