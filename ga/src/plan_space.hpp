// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/rng.hpp"
#include "gabra/ga/search.hpp"
#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace gabra::ga {

/// The plans that a search may propose for a problem, and their canonical form. Immutable; cheap to ask.
class PlanSpace {
 public:
  /// Throws InputError when `space` admits no micro-batch size of the problem's global batch.
  PlanSpace(const Problem& problem, const SearchSpace& space);

  [[nodiscard]] const Problem& problem() const { return problem_; }
  [[nodiscard]] std::int32_t units() const { return units_; }
  [[nodiscard]] std::int32_t devices() const { return devices_; }
  [[nodiscard]] std::int64_t global_batch() const { return problem_.training.global_batch; }
  /// Admitted micro-batch counts, ascending.
  [[nodiscard]] std::span<const std::int64_t> micro_batch_counts() const { return counts_; }
  /// At most `most` of them, spread evenly, first and last included.
  [[nodiscard]] std::vector<std::int64_t> spread_counts(std::size_t most) const;
  /// Bucket candidates, ascending.
  [[nodiscard]] std::span<const Bytes> buckets() const { return buckets_; }
  [[nodiscard]] Bytes usual_bucket() const { return usual_bucket_; }
  [[nodiscard]] std::int64_t max_stages_per_device() const { return max_stages_per_device_; }

  /// Whether the plan belongs to the space.
  [[nodiscard]] bool contains(const Plan& plan) const;
  /// Turns anything with stages whose units cover the network in order into a plan of the space, changing as little as
  /// it can: devices twice in a stage or in too many stages go, stages left without a device join a neighbour, and
  /// replicas beyond M go.
  void repair(Plan& plan) const;
  /// The one plan that stands for all that provably cost the same (see the source for the proofs).
  [[nodiscard]] Plan canonical(Plan plan) const;

 private:
  void relabel_interchangeable(Plan& plan) const;
  void unify_bucket(Plan& plan) const;
  void drop_surplus_devices(Plan& plan) const;

  Problem problem_;
  std::int32_t units_ = 0;
  std::int32_t devices_ = 0;
  std::vector<std::int64_t> counts_;
  std::vector<Bytes> buckets_;
  Bytes usual_bucket_;
  std::int64_t max_stages_per_device_ = 1;
  std::vector<std::int64_t> gradient_sums_;  // bytes of gradients of units [0, i)
};

}  // namespace gabra::ga
