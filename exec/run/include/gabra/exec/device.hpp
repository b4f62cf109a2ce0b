// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/exec/communicator.hpp"
#include "gabra/exec/wait_note.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <functional>
#include <optional>
#include <vector>

namespace gabra::exec {

/// What one instruction does on its device.
struct Work {
  InstructionId instruction;
  std::vector<InstructionId> after;  ///< of the same device, on other streams (stream order comes by itself)
  std::function<void()> compute;     ///< Load, Compute streams: the work
  std::function<at::Tensor()>
      tensor;  ///< communication: the memory to send, fill, or reduce in place; asked when it may start
  std::function<void(at::Tensor)> done;  ///< communication: called with it at the end
};

/// Runs the instructions of one rank on its streams: each after the one before it on its stream and after those it
/// names. The interpreter submits a whole step in the Program's order, then calls finish().
///
/// CPU: compute runs in the thread that calls finish(); one service thread loads and drives transfers, so receives are
/// posted as soon as their stream is free and sends never block compute. CUDA: submit() launches at once on one CUDA
/// stream per stream of the Program, ordered by events; nothing waits for the device until finish().
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  [[nodiscard]] virtual c10::Device torch_device() const = 0;
  /// Whether submit() enqueues transfers and lets go of their tensors before they are done. Who else holds the memory
  /// of such a tensor may then take it for its own, so what is sent and may be written to must have no other holder.
  [[nodiscard]] virtual bool enqueues_transfers() const { return false; }
  virtual void submit(Work work) = 0;
  /// To be called by works now and then while they compute: moves transfers on where nobody else does.
  virtual void between_layers() {}
  /// Runs or waits for everything submitted. Throws DeviceError (also for a transfer that made no progress within the
  /// time limit: names the instruction, the peer, and how long it waited) and whatever a work threw.
  virtual void finish() = 0;
  /// Begin and end of the instructions of the last step on this device, in seconds of this rank's clock
  /// (CLOCK_MONOTONIC); by InstructionId, others are 0. Empty unless recording is on.
  [[nodiscard]] virtual std::vector<Timeline::Span> spans() const = 0;
  virtual void set_recording(bool is_on) = 0;
  /// Bytes of tensors alive at most since reset_peak(): the CPU's tensor allocator, or CUDA's caching allocator,
  /// without the first step, in which cuDNN searches, as soon as there is a second.
  [[nodiscard]] virtual Bytes peak_memory() const = 0;
  virtual void reset_peak() = 0;
  /// What the rank waits for right now; may be read by any thread and by a signal handler.
  [[nodiscard]] virtual const WaitNote& waiting() const = 0;
};

}  // namespace gabra::exec
