// SPDX-License-Identifier: MIT
#pragma once

#include "program_builder.hpp"
#include "stage_layout.hpp"

#include <cstdint>
#include <vector>

namespace gabra {

/// List scheduling of one plan (rule and limits in compiler.hpp): plays the step forward in time with the predicted
/// costs, transfers alone on their route, and appends each instruction to the Program when it is decided.
class Scheduler {
 public:
  /// The plan must have no faults.
  Scheduler(CostModel& costs, const Plan& plan);

  [[nodiscard]] Program run();

 private:
  [[nodiscard]] std::vector<StageOutline> outlines() const;
  enum class EventKind : std::uint8_t { ForwardDone, SegmentDone, Arrival };
  struct Event {
    double time = 0.0;
    std::int32_t sequence = 0;
    EventKind kind = EventKind::ForwardDone;
    bool is_gradient = false;  // Arrival
    std::int32_t subject = 0;  // stage, or edge of an Arrival
    std::int32_t micro_batch = 0;
    std::int32_t segment = -1;
    bool operator<(const Event& other) const {  // for a heap whose top is the earliest
      return time != other.time ? time > other.time : sequence > other.sequence;
    }
  };
  /// One replica of one stage.
  struct Replica {
    std::int64_t next = 0;  // micro-batch of its next forward
    std::int64_t in_flight = 0;
    std::int64_t backwards_left = 0;
    std::int64_t forwards_left = 0;
    std::vector<InstructionId> segments;  // of the last backward
  };
  struct DeviceState {
    bool is_busy = false;
    bool is_touched = false;
    std::int64_t forwards_left = 0;
    std::vector<std::int32_t> stages;           // descending
    std::vector<std::int64_t> ready_backwards;  // heap of keys, lowest micro-batch and latest stage on top
  };

  [[nodiscard]] std::size_t task(std::int32_t stage, std::int32_t m) const {
    return static_cast<std::size_t>(stage) * width_ + static_cast<std::size_t>(m);
  }
  [[nodiscard]] std::size_t replica_index(std::int32_t stage, std::int32_t m) const;
  [[nodiscard]] DeviceId device_of(std::int32_t stage, std::int32_t m) const;
  [[nodiscard]] bool recomputes(std::int32_t stage, std::int32_t m) const;
  [[nodiscard]] bool keeps_input(const Edge& edge, std::int32_t m) const;

  [[nodiscard]] bool is_last(std::int32_t stage) const {
    return static_cast<std::size_t>(stage) + 1 == plan_.stages.size();
  }
  void push(Event event);
  void touch(DeviceId device);
  void dispatch(DeviceId device, double now);
  void start_forward(std::int32_t stage, std::int32_t m, double now);
  void start_backward(std::int32_t stage, std::int32_t m, double now);
  InstructionId add_load(std::int32_t stage, std::int32_t m);
  void finish_forward(const Event& event);
  void finish_segment(const Event& event);
  void finish_backward(std::int32_t stage, std::int32_t m, InstructionId last);
  void arrive(const Event& event);
  void transfer(std::int32_t edge, std::int32_t m, bool is_gradient, InstructionId after, double now);
  void satisfy_forward(std::int32_t stage, std::int32_t m);
  void satisfy_backward(std::int32_t stage, std::int32_t m);
  void release_input(const Edge& edge, std::int32_t m, InstructionId by);
  void release_output(const Edge& edge, std::int32_t m, InstructionId by);
  void reduce_if_ready(std::int32_t stage, std::int32_t bucket);
  void add_updates();

  CostModel& costs_;
  const Plan& plan_;
  PlanLayout layout_;
  ProgramBuilder builder_;
  std::size_t width_;
  std::vector<std::vector<Replica>> replicas_;                    // by stage
  std::vector<DeviceState> devices_;                              // by cluster device
  std::vector<std::int32_t> forward_missing_, backward_missing_;  // by task: inputs or gradients still to come
  std::vector<InstructionId> forwards_, backwards_;               // by task; a backward's first segment
  std::vector<InstructionId> loads_;                              // by task
  std::vector<InstructionId> losses_;                             // by micro-batch
  LossSizes loss_sizes_;
  std::vector<InstructionId> received_, received_gradients_;  // by edge and micro-batch
  std::vector<InstructionId> sends_, gradient_sends_;
  std::vector<std::vector<std::int32_t>> output_readers_;  // by stage: output and micro-batch
  std::vector<std::int32_t> bucket_counts_;                // replicas that finished, by stage and bucket
  std::vector<std::size_t> bucket_offsets_;                // by stage
  std::vector<std::int64_t> stage_forwards_left_;
  std::vector<InstructionId> stage_reductions_;  // by stage and replica: its latest all-reduce
  std::vector<std::size_t> replica_offsets_;
  std::vector<double> route_free_;  // by pair of used devices
  std::vector<Event> events_;
  std::vector<DeviceId> touched_;
  std::vector<InstructionId> after_;
  std::int32_t sequence_ = 0;
};

}  // namespace gabra
