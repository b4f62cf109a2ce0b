// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/interpreter.hpp"
#include "gabra/network/network.hpp"

#include <cstdint>
#include <memory>

namespace gabra::exec {

/// Samples of a training, with its epochs.
class SampleSourceBase : public BatchSource {
 public:
  [[nodiscard]] virtual std::int64_t steps_per_epoch() const = 0;
};

/// How a step is divided.
struct BatchShape {
  std::int64_t global_batch = 1;
  std::int64_t micro_batches = 1;
  [[nodiscard]] std::int64_t micro_batch() const { return global_batch / micro_batches; }
};

/// Random samples for any network: normal images, token ids and classes by chance, keyed by seed and sample. There are
/// as many as a global batch, at most 64, and each is made once, so that a step does not wait for them. An epoch is 16
/// steps. Throws InputError for a network whose output is neither classes nor classes by position.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_synthetic_source(const Network& network, const BatchShape& shape,
                                                                      std::uint64_t seed);

}  // namespace gabra::exec
