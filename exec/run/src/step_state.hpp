// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/plan/timeline.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gabra::exec {

/// Which instructions of the step are done. What a thread wrote before set() is seen by whoever finds it set.
class CompletionFlags {
 public:
  explicit CompletionFlags(std::size_t instructions) : flags_(new std::atomic<bool>[instructions]()) {}

  void clear(InstructionId id) { flags_[id.index()].store(false, std::memory_order_relaxed); }
  void set(InstructionId id) { flags_[id.index()].store(true); }
  [[nodiscard]] bool is_set(InstructionId id) const { return flags_[id.index()].load(); }
  [[nodiscard]] bool are_set(std::span<const InstructionId> ids) const {
    return std::all_of(ids.begin(), ids.end(), [this](InstructionId id) { return is_set(id); });
  }

 private:
  std::unique_ptr<std::atomic<bool>[]> flags_;  // NOLINT(modernize-avoid-c-arrays): atomics do not move
};

/// Begin and end of every instruction of the last step, while recording is on. Each instruction is set by one thread.
class SpanRecorder {
 public:
  explicit SpanRecorder(std::size_t instructions) : count_(instructions) {}

  void set_recording(bool is_on) {
    is_on_ = is_on;
    spans_.clear();
  }
  void begin_step() {
    if (is_on_) spans_.assign(count_, {});
  }
  void set(InstructionId id, double begin, double end) {
    if (is_on_) spans_[id.index()] = {Seconds(begin), Seconds(end)};
  }
  [[nodiscard]] const std::vector<Timeline::Span>& all() const { return spans_; }

 private:
  std::size_t count_;
  bool is_on_ = false;
  std::vector<Timeline::Span> spans_;
};

}  // namespace gabra::exec
