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

/// In which numbers gradients are added up over micro-batches and replicas. Plain: the precision's own. Wide: float64
/// for float32, float32 for bfloat16; what batch norm adds to its running statistics, otherwise float32, is then
/// float64. Sums of n float32 numbers in float64 are exact where these differ less than 2^29 / n times, so their order,
/// which is the plan's, practically never changes a bit of what is trained; gradients take, and all-reduces move, twice
/// the bytes. Our own choice, not from the paper.
enum class GradientSum : std::uint8_t { Plain, Wide };

inline constexpr std::int64_t kMostBatch = std::int64_t{1} << 40;  ///< samples per update

/// What training is to compute; the same for every plan of a search.
struct TrainingSettings {
  std::int64_t global_batch = 32;  ///< samples per update
  Precision precision = Precision::Float32;
  Optimizer optimizer = Optimizer::SgdMomentum;
  std::optional<double> clip_norm;  ///< largest gradient norm over the whole model; none: no clipping
  GradientSum gradient_sum = GradientSum::Plain;
};

/// A network to train on a cluster. Shared, immutable parts.
struct Problem {
  std::shared_ptr<const Network> network;
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const Profile> profile;  ///< may be null: the devices' roofline is used
  TrainingSettings training;
};

/// Bytes of weights, gradient and optimizer state per parameter: float32 {4, 4, 4 or 8}; bfloat16 weights and
/// gradients with a float32 master copy in the optimizer state {2, 2, 8 or 12}. Wide sums: twice the gradient.
struct ParameterBytes {
  std::int64_t weight, gradient, optimizer_state;
};
[[nodiscard]] ParameterBytes parameter_bytes(const TrainingSettings& training);

/// Bytes that a backward moves per parameter: the weight, read for the input's gradient, and the gradient, read and
/// written; with wide sums also what is added, written and read.
[[nodiscard]] std::int64_t backward_parameter_bytes(const TrainingSettings& training);

/// Bytes per element of what CombineStatistics and ClipNorm add up: float32, or float64 with wide sums.
[[nodiscard]] std::int64_t statistic_bytes(const TrainingSettings& training);

}  // namespace gabra
