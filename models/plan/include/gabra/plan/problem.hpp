// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/core/compute_class.hpp"
#include "gabra/network/network.hpp"
#include "gabra/network/profile.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace gabra {

enum class Optimizer : std::uint8_t { SgdMomentum, AdamW };

/// What training is to compute; the same for every plan of a search.
struct TrainingSettings {
  std::int64_t global_batch = 32;  ///< samples per update
  Precision precision = Precision::Float32;
  Optimizer optimizer = Optimizer::SgdMomentum;
  std::optional<double> clip_norm;  ///< largest gradient norm over the whole model; none: no clipping
};

/// A network to train on a cluster. Shared, immutable parts.
struct Problem {
  std::shared_ptr<const Network> network;
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const Profile> profile;  ///< may be null: the devices' roofline is used
  TrainingSettings training;
};

/// Bytes of weights, gradient and optimizer state per parameter: float32 {4, 4, 4 or 8}; bfloat16 weights and
/// gradients with a float32 master copy in the optimizer state {2, 2, 8 or 12}.
struct ParameterBytes {
  std::int64_t weight, gradient, optimizer_state;
};
[[nodiscard]] ParameterBytes parameter_bytes(Precision precision, Optimizer optimizer);

}  // namespace gabra
