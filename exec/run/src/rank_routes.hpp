// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"
#include "gabra/plan/program.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace gabra::exec {

/// A tensor that a stage reads and another made.
struct StageEdge {
  std::int32_t tensor = 0;  ///< index into Network::unit_tensors()
  StageId from, to;
  UnitId first_reader;  ///< lowest unit of `to` that reads it
  bool needs_gradient = true;
};

/// What hangs together with an instruction of the compute stream, read off the Program's predecessors.
struct ComputeRoutes {
  std::vector<InstructionId> loads;        ///< Load before a Forward
  std::vector<InstructionId> receives;     ///< whose tensors it takes
  std::vector<InstructionId> sends;        ///< whose tensors it makes
  std::vector<InstructionId> collectives;  ///< AllReduce, CombineStatistics of what it completes
};

/// One rank's part of a Program, looked up once.
class RankRoutes {
 public:
  RankRoutes(const Program& program, const Network& network, DeviceId own);

  [[nodiscard]] DeviceId device() const { return own_; }
  [[nodiscard]] const std::vector<InstructionId>& instructions() const { return instructions_; }  ///< in order
  [[nodiscard]] const ComputeRoutes& of(InstructionId compute) const { return routes_[compute.index()]; }
  /// Predecessors on other streams.
  [[nodiscard]] std::vector<InstructionId> after(InstructionId id) const;
  [[nodiscard]] const std::vector<StageEdge>& incoming(StageId stage) const { return incoming_[stage.index()]; }
  [[nodiscard]] const std::vector<StageEdge>& outgoing(StageId stage) const { return outgoing_[stage.index()]; }
  /// Whether `stage` runs micro-batch `m` on this rank.
  [[nodiscard]] bool runs(StageId stage, std::int32_t m) const;
  [[nodiscard]] bool recomputes(StageId stage, std::int32_t m) const;
  /// Whether Backward `segment` (-1: whole) of `stage` covers `unit`.
  [[nodiscard]] bool covers(StageId stage, std::int32_t segment, UnitId unit) const;

 private:
  void add_edges(const Network& network);
  void add_routes();

  const Program& program_;
  DeviceId own_;
  std::vector<InstructionId> instructions_;
  std::vector<ComputeRoutes> routes_;                            // by instruction
  std::vector<std::vector<StageEdge>> incoming_, outgoing_;      // by stage, ascending by tensor
  std::map<std::pair<StageId, std::int32_t>, bool> recomputed_;  // by stage and micro-batch
};

}  // namespace gabra::exec
