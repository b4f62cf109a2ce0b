// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/options.hpp"
#include "gabra/exec/stage_module.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"
#include "optimizer_step.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gabra::exec {

/// A parameter: views into the flat tensors of its bucket.
struct Parameter {
  std::string name;
  at::Tensor value, gradient;  ///< of one shape; the gradient may be wider (ModelOptions::sums_wide)
  /// False since the last update: what `gradient` holds is stale and stands for zero.
  bool has_gradient = false;

  /// gradient += contribution, written directly the first time.
  void accumulate(const at::Tensor& contribution);
  /// Whether products can write into `gradient` themselves, by take_beta().
  [[nodiscard]] bool is_as_wide_as_value() const { return gradient.scalar_type() == value.scalar_type(); }
  /// 0 the first time, then 1.
  [[nodiscard]] double take_beta();
  /// Makes stale memory the zeros that it stands for.
  void settle();
};

/// Running statistics of one batch norm, views into the flat tensors of the stage; float32 (float64 in Double), pending
/// ones float64 with ModelOptions::sums_wide.
struct BatchStatistics {
  at::Tensor running_mean, running_var, pending_mean, pending_var;
  double momentum = 0.1;
};

/// Everything of a stage that lasts: weights, gradients and optimizer state, one flat tensor each for a bucket, and the
/// running statistics. Layers in the order of the network, buckets in the order of the outline, parameters in a bucket
/// by alignment.
class FlatState {
 public:
  FlatState(const Network& network, const StageOutline& outline, Optimizer optimizer, const ModelOptions& options);
  FlatState(const FlatState&) = delete;
  FlatState& operator=(const FlatState&) = delete;

  [[nodiscard]] std::span<Parameter> parameters_of(LayerId layer);
  [[nodiscard]] BatchStatistics* statistics_of(LayerId layer);  ///< null but for batch norm
  [[nodiscard]] std::span<const UnitRange> buckets() const { return ranges_; }

  /// Aborts for a module that was made for outputs alone; so do all that need gradients.
  void check_trains() const;
  [[nodiscard]] at::Tensor gradient(std::size_t bucket);
  [[nodiscard]] at::Tensor squared_gradient_norm();
  void scale_gradients(const at::Tensor& factor);
  [[nodiscard]] at::Tensor pending_statistics() { return pending_; }
  void set_micro_batches(std::int64_t micro_batches);
  [[nodiscard]] std::int64_t micro_batches() const { return micro_batches_; }
  void update(const UpdateOptions& options);
  /// Master weights = weights, where there are any.
  void copy_to_master();
  /// Drops gradients and pending statistics.
  void forget_step();

  [[nodiscard]] std::vector<NamedTensor> parameters();
  [[nodiscard]] std::vector<NamedTensor> buffers();
  [[nodiscard]] std::vector<NamedTensor> optimizer_state();

 private:
  struct Bucket {
    at::Tensor weights, gradients;
    std::vector<at::Tensor> state;  ///< parallel to state_names_
  };
  struct LayerState {
    std::size_t first = 0, end = 0;  ///< within parameters_
    std::ptrdiff_t statistics = -1;  ///< within statistics_
  };

  void settle_gradients();
  void allocate_bucket(std::size_t bucket, const Network& network, const ModelOptions& options);
  void allocate_statistics(const Network& network, const ModelOptions& options);
  [[nodiscard]] std::vector<FlatStep> flat_steps() const;

  Optimizer optimizer_;
  bool only_outputs_ = false;
  bool has_master_ = false;
  std::size_t first_layer_ = 0;
  std::vector<LayerState> layers_;  // of the stage
  std::vector<UnitRange> ranges_;
  std::vector<Bucket> buckets_;
  std::vector<Parameter> parameters_;
  std::vector<std::int64_t> offsets_;  // parallel to parameters_, within the bucket
  std::vector<std::size_t> bucket_of_;
  std::vector<std::string> state_names_;
  std::vector<BatchStatistics> statistics_;
  std::vector<std::string> statistics_names_;
  at::Tensor running_, pending_, decay_;
  std::int64_t micro_batches_ = 1;
};

}  // namespace gabra::exec
