// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/network/network.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

/// {data, target} of a .pt file, a global batch that every step trains on; an epoch is one step. Throws InputError.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_file_source(const std::string& path, const Network& network,
                                                                 const BatchShape& shape);

/// The training part of a data set, loaded ahead. `own_micro_batches`: those that this rank loads.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_volume_source(const DataSet& data, const BatchShape& shape,
                                                                   std::uint64_t seed, bool is_augmented,
                                                                   std::vector<std::int64_t> own_micro_batches);

[[nodiscard]] std::vector<const Layer*> input_layers(const Network& network);

}  // namespace gabra::exec
