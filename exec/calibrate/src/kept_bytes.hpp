// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace gabra::exec {

/// What every layer of the network, as one stage, keeps from forward to backward: memory that was taken while the layer
/// computed and is still held when all layers have. By layer, of a micro-batch, as the device's allocator counts it.
/// Layers that are computed together have it all at the last of them. An Input layer has its samples where they are
/// kept. Runs one forward on `device`.
[[nodiscard]] std::vector<Bytes> measure_kept_bytes(const std::shared_ptr<const Network>& network,
                                                    const TrainingSettings& training, std::int64_t micro_batch,
                                                    c10::Device device);

}  // namespace gabra::exec
