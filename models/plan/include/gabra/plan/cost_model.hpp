// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/collective.hpp"
#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace gabra {

/// Predicted seconds of a span of units on one device for one micro-batch.
struct SpanSeconds {
  Seconds forward;
  Seconds backward;
};

/// Times and sizes of every span of units on every kind of device, in constant time per question: prefix sums over
/// units, made once per micro-batch size. Profile times where there are any, else the roofline joined with launch
/// times by soft_maximum(). Keeps the problem alive. Not safe to call from several threads.
class CostModel {
 public:
  explicit CostModel(Problem problem);

  [[nodiscard]] const Problem& problem() const { return problem_; }
  /// Units [first, end), `micro_batch` samples.
  [[nodiscard]] SpanSeconds span(std::int32_t first, std::int32_t end, DeviceKindId kind, std::int64_t micro_batch);
  /// One optimizer step over the parameters of units [first, end).
  [[nodiscard]] Seconds update(std::int32_t first, std::int32_t end, DeviceKindId kind) const;
  [[nodiscard]] Seconds loss(DeviceKindId kind) const;
  [[nodiscard]] std::int64_t parameters(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] std::int64_t buffers(std::int32_t first, std::int32_t end) const;
  /// Bytes of one sample's activations kept from forward to backward by units [first, end), its inputs included.
  [[nodiscard]] Bytes saved_bytes(std::int32_t first, std::int32_t end) const;
  /// Bytes of weights, gradients and optimizer state of units [first, end).
  [[nodiscard]] Bytes state_bytes(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] CollectiveModel& collectives() { return collectives_; }

  /// A time that no execution of `plan` can be faster than, whatever the order: see the proof in the source.
  [[nodiscard]] Seconds lower_bound(const Plan& plan);

 private:
  struct Table {  // prefix sums over units; sums of units [a, b) are at(b) - at(a)
    std::vector<double> forward_launch, forward_roofline, forward_measured;
    std::vector<double> backward_launch, backward_roofline, backward_measured;
  };
  const Table& table(DeviceKindId kind, std::int64_t micro_batch);

  Problem problem_;
  std::vector<std::int64_t> parameter_sums_, buffer_sums_;
  std::map<std::pair<DeviceKindId, std::int64_t>, Table> tables_;
  CollectiveModel collectives_;
};

}  // namespace gabra
