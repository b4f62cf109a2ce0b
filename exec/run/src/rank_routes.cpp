// SPDX-License-Identifier: MIT
#include "rank_routes.hpp"

namespace gabra::exec {

RankRoutes::RankRoutes(const Program& program, const Network& network, DeviceId own)
    : program_(program),
      own_(own),
      routes_(program.instructions.size()),
      incoming_(program.stages.size()),
      outgoing_(program.stages.size()) {
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    if (program.instructions[i].device == own) instructions_.emplace_back(i);
  add_edges(network);
  add_routes();
}

void RankRoutes::add_edges(const Network& network) {
  std::vector<StageId> stage_of(network.unit_count());
  for (std::size_t s = 0; s < program_.stages.size(); ++s)
    for (std::int32_t u = program_.stages[s].units.first; u < program_.stages[s].units.end; ++u)
      stage_of[static_cast<std::size_t>(u)] = StageId(s);
  for (std::size_t t = 0; t < network.unit_tensors().size(); ++t) {
    const UnitTensor& tensor = network.unit_tensors()[t];
    const StageId from = stage_of[tensor.producer.index()];
    StageId previous = from;
    for (const UnitId consumer : tensor.consumers) {
      const StageId to = stage_of[consumer.index()];
      if (to == previous) continue;
      previous = to;
      const StageEdge edge{static_cast<std::int32_t>(t), from, to, consumer, tensor.needs_gradient};
      incoming_[to.index()].push_back(edge);
      outgoing_[from.index()].push_back(edge);
    }
  }
}

void RankRoutes::add_routes() {
  for (const InstructionId id : instructions_) {
    const Instruction& one = program_.instructions[id.index()];
    if (one.opcode == Opcode::Recompute) recomputed_[{one.stage, one.micro_batch}] = true;
    for (const InstructionId before : program_.predecessors.of(id)) {
      const Instruction& other = program_.instructions[before.index()];
      if (other.opcode == Opcode::Load && one.opcode == Opcode::Forward) routes_[id.index()].loads.push_back(before);
      if (other.opcode == Opcode::Receive && other.stream != one.stream) routes_[id.index()].receives.push_back(before);
      if (other.stream == one.stream) continue;
      if (one.opcode == Opcode::Send) routes_[before.index()].sends.push_back(id);
      if (one.opcode == Opcode::AllReduce || one.opcode == Opcode::CombineStatistics)
        routes_[before.index()].collectives.push_back(id);
    }
  }
}

std::vector<InstructionId> RankRoutes::after(InstructionId id) const {
  std::vector<InstructionId> result;
  for (const InstructionId before : program_.predecessors.of(id))
    if (program_.instructions[before.index()].stream != program_.instructions[id.index()].stream)
      result.push_back(before);
  return result;
}

bool RankRoutes::runs(StageId stage, std::int32_t m) const {
  const std::vector<DeviceId>& devices = program_.stages[stage.index()].devices;
  return devices[static_cast<std::size_t>(m) % devices.size()] == own_;
}

bool RankRoutes::recomputes(StageId stage, std::int32_t m) const { return recomputed_.contains({stage, m}); }

bool RankRoutes::covers(StageId stage, std::int32_t segment, UnitId unit) const {
  if (segment < 0) return true;
  const UnitRange range = program_.stages[stage.index()].buckets[static_cast<std::size_t>(segment)];
  return unit.value() >= range.first && unit.value() < range.end;
}

}  // namespace gabra::exec
