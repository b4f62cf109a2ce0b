// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/infeasible.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

enum class Opcode : std::uint8_t {
  Load,               ///< a micro-batch's samples onto a device that reads the network's input
  Forward,            ///< stage, micro-batch
  Loss,               ///< micro-batch
  Recompute,          ///< stage, micro-batch: the forward again, before its backward
  Backward,           ///< stage, micro-batch, segment (-1: whole)
  Send,               ///< tensor or its gradient, micro-batch, to peer
  Receive,            ///< the partner of a Send
  AllReduce,          ///< stage, bucket
  CombineStatistics,  ///< stage: running statistics of batch norm, one all-reduce
  ClipNorm,           ///< all devices: the gradient's norm, one small all-reduce
  Update,             ///< stage: the optimizer's step
};
inline constexpr std::size_t kOpcodeCount = 11;
[[nodiscard]] std::string_view to_text(Opcode opcode);

enum class StreamKind : std::uint8_t { Load, Compute, Send, Receive, Collective };

/// A queue of one device; its instructions run one after another.
struct Stream {
  DeviceId device;
  StreamKind kind = StreamKind::Compute;
  DeviceId peer;  ///< Send and Receive: the other side
};

/// One thing a device does. Instructions are numbered in a topological order of the whole Program.
struct Instruction {
  Opcode opcode = Opcode::Forward;
  bool is_gradient = false;  ///< Send, Receive: the gradient of `tensor`, going back
  std::int32_t micro_batch = -1;
  std::int32_t segment = -1;     ///< Backward: its segment; AllReduce: its bucket
  std::int32_t tensor = -1;      ///< Send, Receive: index into Network::unit_tensors()
  std::int32_t collective = -1;  ///< index into Program::collectives
  StageId stage;                 ///< Send: the sending stage; Receive: the receiving stage
  StreamId stream;
  DeviceId device;
  DeviceId peer;
  InstructionId partner;  ///< Send <-> Receive
  Bytes bytes;            ///< moved by Send, Receive and collectives (per member)
  Seconds seconds;        ///< predicted time of what computes; 0 for communication
};

/// A collective over several devices, one node of the DAG although each member has its instruction.
struct Collective {
  std::vector<InstructionId> members;
  std::vector<DeviceId> devices;
  Bytes bytes;
};

/// Memory that an instruction takes when it begins or gives back when it ends. Lists have a Receive's buffer where the
/// Receive before it on its stream ends: devices post receives at once.
struct MemoryEvent {
  InstructionId instruction;
  bool at_end = false;
  MemoryCategory category = MemoryCategory::Activations;
  DeviceId device;
  Bytes delta;
};

/// A list of instruction ids per instruction, stored flat.
struct Adjacency {
  std::vector<std::int32_t> offsets;  ///< size instructions + 1
  std::vector<InstructionId> targets;
  [[nodiscard]] std::span<const InstructionId> of(InstructionId id) const {
    const auto first = static_cast<std::size_t>(offsets[id.index()]);
    const auto last = static_cast<std::size_t>(offsets[id.index() + 1]);
    return {targets.data() + first, last - first};
  }
};

/// Units [first, end).
struct UnitRange {
  std::int32_t first = 0;
  std::int32_t end = 0;
};

/// What the instructions of a stage are about.
struct StageOutline {
  UnitRange units;
  std::vector<DeviceId> devices;   ///< micro-batch m runs on devices[m mod devices.size()]
  std::vector<UnitRange> buckets;  ///< reduced together, the last units first; none for a single device
};

/// A plan compiled for all its devices: what both engines interpret, and nothing else.
///
/// An instruction starts when its predecessors are done: `predecessors` has the instruction before it on its stream and
/// the ones it names. A Send and its Receive run together once both may start; so do the members of a collective.
struct Program {
  std::vector<Instruction> instructions;
  Adjacency predecessors;
  Adjacency successors;  ///< the reverse
  std::vector<Stream> streams;
  std::vector<Collective> collectives;
  std::vector<DeviceId> devices;               ///< that the plan uses, ascending
  std::vector<MemoryEvent> memory_events;      ///< in planned order
  std::vector<MemoryBreakdown> static_memory;  ///< by Cluster device: what stays for the whole step
  std::vector<Bytes> peak_memory;              ///< by Cluster device; 0 for unused ones
  std::vector<StageOutline> stages;
  std::int64_t samples = 0;        ///< per step
  std::int64_t micro_batches = 0;  ///< of equal size
};

/// "Forward stage 2 micro-batch 3", for tables and traces.
[[nodiscard]] std::string describe(const Instruction& instruction);
/// "GPU0 compute", "GPU0 -> GPU1"; names come from `device_names`.
[[nodiscard]] std::string describe(const Stream& stream, std::span<const std::string> device_names);

/// The compiler's own check of its result, independent of how it was made: every Send has its Receive with equal
/// bytes, the DAG with stream order and collectives as one node is acyclic, every micro-batch passes every stage once
/// forward and once backward, every bucket is reduced once by every replica and every stage updated once per replica.
/// Returns what does not hold, or an empty text.
[[nodiscard]] std::string find_violation(const Program& program, std::int64_t micro_batches, std::size_t stages);

}  // namespace gabra
