// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"
#include "gabra/exec/synthetic_source.hpp"
#include "gabra/network/network.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// {data, target} of a .pt file, a global batch that every step trains on; an epoch is one step. Throws InputError.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_file_source(const std::string& path, const Network& network,
                                                                 const BatchShape& shape);

/// The training part of a data set, loaded ahead. `own_micro_batches`: those that this rank loads.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_volume_source(const DataSet& data, const BatchShape& shape,
                                                                   std::uint64_t seed, bool is_augmented,
                                                                   std::vector<std::int64_t> own_micro_batches);

[[nodiscard]] std::vector<const Layer*> input_layers(const Network& network);

}  // namespace gabra::exec
