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

/// What a unit needs only while it computes, beyond all that its span saves.
struct Workspace {
  Bytes per_sample;  ///< less what later units save, which is not there then; may be below 0
  Bytes fixed;       ///< however many samples there are
};
/// The largest need for a micro-batch of so many samples.
[[nodiscard]] Bytes largest(const std::vector<Workspace>& workspaces, std::int64_t micro_batch);

/// Memory of a span of units for one sample.
struct SpanSizes {
  Bytes saved;  ///< tensors made in the span and kept from forward to backward
  Bytes input;  ///< of the network's input, where the span reads it
  bool is_input_saved = false;
  std::vector<Workspace> forward_workspaces, backward_workspaces;  ///< of the units that need most of either part
};

/// Memory of the loss of one micro-batch.
struct LossSizes {
  Bytes peak;      ///< while it is computed: the network's output, logarithms and gradient
  Bytes gradient;  ///< of the network's output, kept until the backward
};

/// Whether units [first, end) keep `tensor` for their backward, as its producer or as a consumer.
[[nodiscard]] bool is_saved_within(const UnitTensor& tensor, std::int32_t first, std::int32_t end);

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
  /// The loss of one micro-batch and its gradient: the profile's entry kLossInProfile, else launch times alone.
  [[nodiscard]] Seconds loss(DeviceKindId kind, std::int64_t micro_batch) const;
  [[nodiscard]] std::int64_t parameters(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] std::int64_t buffers(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] const SpanSizes& sizes(std::int32_t first, std::int32_t end);
  [[nodiscard]] LossSizes loss_sizes(std::int64_t micro_batch) const;
  /// Bytes of one sample's activations kept from forward to backward by units [first, end), its inputs included.
  [[nodiscard]] Bytes saved_bytes(std::int32_t first, std::int32_t end);
  /// Bytes of weights, gradients and optimizer state of units [first, end).
  [[nodiscard]] Bytes state_bytes(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] CollectiveModel& collectives() { return collectives_; }

  /// A time that no execution of `plan` can be faster than, whatever the order: see the proof in the source.
  [[nodiscard]] Seconds lower_bound(const Plan& plan);

 private:
  [[nodiscard]] OperandCopies operand_copies() const;

  struct Table {  // prefix sums over units; sums of units [a, b) are at(b) - at(a)
    std::vector<double> forward_launch, forward_roofline, forward_measured;
    std::vector<double> backward_launch, backward_roofline, backward_measured;
  };
  struct InputUse {  // of the network's input by a unit, per sample
    std::int64_t elements = 0;
    bool is_saved = false;
  };
  const Table& table(DeviceKindId kind, std::int64_t micro_batch);

  Problem problem_;
  std::vector<std::int64_t> parameter_sums_, buffer_sums_;
  std::vector<InputUse> input_uses_;             // by unit
  std::vector<std::optional<SpanSizes>> sizes_;  // by first * (units + 1) + end
  std::map<std::pair<DeviceKindId, std::int64_t>, Table> tables_;
  CollectiveModel collectives_;
};

}  // namespace gabra
