// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/program.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

namespace gabra {

/// Appends instructions to a Program in topological order, keeping streams, predecessors and memory in use up to date.
class ProgramBuilder {
 public:
  ProgramBuilder(const CostModel& costs, const Plan& plan);

  /// Appends `instruction` to the stream (device, kind, peer); it waits for the one before it there and for `after`
  /// (invalid ids are passed over).
  InstructionId add(StreamKind kind, Instruction instruction, std::span<const InstructionId> after);
  InstructionId add(StreamKind kind, Instruction instruction, std::initializer_list<InstructionId> after) {
    return add(kind, instruction, std::span(after.begin(), after.size()));
  }
  /// A Send on `from` and its Receive on `to`; the Send waits for `after`. Returns {send, receive}.
  std::pair<InstructionId, InstructionId> add_transfer(Instruction transfer, StageId from_stage, StageId to_stage,
                                                       DeviceId from, DeviceId to, InstructionId after);
  /// One member per device, each waiting for its own `after`.
  std::int32_t add_collective(Opcode opcode, StageId stage, std::int32_t bucket, Bytes bytes,
                              std::span<const DeviceId> devices, std::span<const InstructionId> after);

  [[nodiscard]] const std::vector<DeviceId>& devices() const { return program_.devices; }  ///< used ones, ascending
  /// The latest instruction on a device's compute stream, and the one before that; invalid where there is none.
  [[nodiscard]] InstructionId last_compute(DeviceId device) const { return of(device).last_compute; }
  [[nodiscard]] InstructionId second_last_compute(DeviceId device) const { return of(device).second_last_compute; }
  [[nodiscard]] InstructionId last_collective(DeviceId device) const;

  /// Memory taken when `instruction` begins, or given back (negative) when it ends. Call in planned order.
  void take(InstructionId instruction, MemoryCategory category, Bytes amount);
  void give_back(InstructionId instruction, MemoryCategory category, Bytes amount);
  /// To be called when the message of `receive` is there, in planned order: the buffer of the next Receive on that
  /// stream is taken now, for devices post it at once.
  void arrive(InstructionId receive);

  [[nodiscard]] Program finish(std::int64_t samples, std::int64_t micro_batches, std::vector<StageOutline> stages);

 private:
  struct DeviceState {
    std::int32_t position = -1;                             // among the used devices
    std::int32_t load = -1, compute = -1, collective = -1;  // streams
    InstructionId last_compute, second_last_compute;
  };
  [[nodiscard]] const DeviceState& of(DeviceId device) const { return states_[device.index()]; }
  std::int32_t& stream_slot(DeviceId device, StreamKind kind, DeviceId peer);
  void change_memory(InstructionId instruction, bool at_end, MemoryCategory category, Bytes delta);
  void move_posted_buffers();
  void find_peaks();

  Program program_;
  std::vector<DeviceState> states_;         // by cluster device
  std::vector<std::int32_t> peer_streams_;  // send, receive by pair of used devices
  std::vector<InstructionId> last_on_stream_;
  std::vector<std::pair<InstructionId, std::size_t>> arrivals_;  // receives; how many memory events were there
};

}  // namespace gabra
