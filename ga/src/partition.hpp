// SPDX-License-Identifier: MIT
#pragma once

#include "device_order.hpp"
#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace gabra::ga {

using DeviceLists = std::vector<std::vector<DeviceId>>;  ///< by stage

/// Rough times of stages, for heuristics that partition; the evaluator has the last word. Not thread safe.
class StageEstimator {
 public:
  explicit StageEstimator(CostModel& costs);

  [[nodiscard]] CostModel& costs() { return costs_; }
  [[nodiscard]] std::int32_t units() const { return units_; }
  /// Forward and backward seconds of one micro-batch.
  [[nodiscard]] double span(std::int32_t first, std::int32_t end, DeviceKindId kind, std::int64_t micro_batch);
  /// Seconds that a stage's replicas need per micro-batch of the whole step, all-reduce spread over them:
  /// (slowest span + all-reduce x R / M) / R.
  [[nodiscard]] double stage(std::int32_t first, std::int32_t end, std::span<const DeviceId> devices,
                             std::int64_t micro_batches);
  /// Bytes per sample of the tensors that cross a cut before `unit`, forward and back.
  [[nodiscard]] double crossing_bytes(std::int32_t unit) const { return crossing_[static_cast<std::size_t>(unit)]; }
  /// Seconds to all-reduce a byte among many, over these devices.
  [[nodiscard]] double reduce_seconds_per_byte(std::span<const DeviceId> devices);
  [[nodiscard]] double gradient_bytes(std::int32_t first, std::int32_t end) const;

 private:
  using Table = std::vector<double>;  // by first * (units + 1) + end
  const Table& table(DeviceKindId kind, std::int64_t micro_batch);

  CostModel& costs_;
  std::int32_t units_;
  std::vector<double> crossing_;
  std::map<std::pair<DeviceKindId, std::int64_t>, Table> tables_;
  std::map<std::vector<DeviceId>, double> reduce_;
};

/// End units of `stages` stages with equal unit counts, the larger ones first. stages <= units.
[[nodiscard]] std::vector<std::int32_t> even_ends(std::int32_t units, std::int32_t stages);

/// End units that minimise the longest stage time for given devices per stage, by dynamic programming.
/// devices.size() <= units.
[[nodiscard]] std::vector<std::int32_t> balanced_ends(StageEstimator& estimator, const DeviceLists& devices,
                                                      std::int64_t micro_batches);

/// PipeDream's partition: stages over consecutive devices of `order`, replicated, that minimise the longest stage or
/// transfer time, using all devices of the order; by dynamic programming over (units, devices). Left out: its second
/// level for several machines, which the order of devices stands for.
[[nodiscard]] std::vector<Stage> pipedream_stages(StageEstimator& estimator, const DeviceOrder& order,
                                                  std::int64_t micro_batches);

/// Stages from ends and devices.
[[nodiscard]] std::vector<Stage> make_stages(std::span<const std::int32_t> ends, const DeviceLists& devices);

}  // namespace gabra::ga
