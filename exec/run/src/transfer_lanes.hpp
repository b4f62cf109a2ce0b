// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"
#include "gabra/plan/program.hpp"
#include "step_state.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// "Receive tensor 3 stage 2 micro-batch 3 from rank 1", "AllReduce stage 0 bucket 1 with ranks 0, 2".
[[nodiscard]] std::string describe_transfer(const Program& program, InstructionId id);

/// The communication streams of one CPU rank: a transfer starts when its stream is free and what it waits for is done.
/// One thread at a time may call it.
class TransferLanes {
 public:
  TransferLanes(const Program& program, Communicator& communicator, CompletionFlags& flags, SpanRecorder& spans);

  void push(Work work);
  /// Starts what may start and asks after what runs, until nothing more changes. Returns whether anything started or
  /// ended.
  bool pump();
  [[nodiscard]] std::size_t running() const { return running_; }  ///< started and not ended; any thread may ask
  [[nodiscard]] std::size_t running_collectives() const { return running_collectives_; }
  [[nodiscard]] std::size_t left() const { return left_; }     ///< not ended; any thread may ask
  [[nodiscard]] double last_end() const { return last_end_; }  ///< when a transfer last ended; any thread may ask
  /// What holds up instruction `id`: the transfer that runs on its stream, or itself.
  [[nodiscard]] std::string describe_wait(InstructionId id) const;
  /// Some transfer that is not done.
  [[nodiscard]] std::string describe_any() const;
  /// Forgets everything after a fault.
  void abandon();

 private:
  struct Lane {
    StreamId stream;
    std::vector<Work> works;
    std::size_t next = 0;
    std::unique_ptr<Communicator::Pending> running;
    at::Tensor tensor;
    double begin = 0.0;
  };
  bool advance(Lane& lane);
  void start(Lane& lane);
  void end(Lane& lane);

  const Program& program_;
  Communicator& communicator_;
  CompletionFlags& flags_;
  SpanRecorder& spans_;
  std::vector<Lane> lanes_;  // of this rank's communication streams, in the order of streams
  std::atomic<std::size_t> running_{0}, running_collectives_{0}, left_{0};
  std::atomic<double> last_end_{0.0};
};

}  // namespace gabra::exec
