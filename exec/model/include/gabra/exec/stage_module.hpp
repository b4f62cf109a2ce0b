// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/options.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gabra::exec {

/// A tensor of the model's state by name, a view into the stage's own memory.
struct NamedTensor {
  std::string name;  ///< "s1b1.conv1.weight", "stem.bn.running_mean"
  at::Tensor tensor;
};

/// One replica of a stage on one device: its layers, parameters, and what is between forward and backward of every
/// micro-batch in flight.
///
/// Forward and backward of every kind of layer are written out over ATen (no autograd tape), so a backward can stop
/// between units, frees what it used at once, and adds weight gradients straight into flat memory: the parameters of a
/// bucket lie in one tensor, and so do its gradients (one bucket of all units where the stage has a single replica).
/// All work goes to the current stream of the device. Not safe to call from several threads.
class StageModule {
 public:
  /// Allocates parameters (initialised as PyTorch's modules are, keyed by name), gradients (zero), and optimizer state;
  /// with options.only_outputs parameters and running statistics alone.
  /// Throws InputError for an opaque layer.
  StageModule(const Network& network, const StageOutline& outline, Optimizer optimizer, const ModelOptions& options);
  ~StageModule();
  StageModule(const StageModule&) = delete;
  StageModule& operator=(const StageModule&) = delete;

  // -- Forward. Tensors have the micro-batch as first dimension: [micro-batch, shape of the layer's output].

  /// The network's input (one for every Input layer in order; those that the stage does not read may be undefined).
  /// Ids of tokens are Long; others are converted to the model's dtype.
  void put_network_input(std::int64_t micro_batch, std::vector<at::Tensor> inputs);
  /// A tensor made by another stage; `tensor` indexes Network::unit_tensors(). Not written to.
  void put_activation(std::int64_t micro_batch, std::int32_t tensor, at::Tensor value);
  /// `keeps` false: what backward needs is dropped but for the stage's inputs; recompute() makes it again. Without
  /// training the inputs go too. Throws InputError where batch norm has a single value per channel.
  void forward(std::int64_t micro_batch, bool keeps, const PassContext& pass);
  void recompute(std::int64_t micro_batch, const PassContext& pass);
  /// A tensor that leaves the stage, after forward(). The module drops its own reference on release_output() unless
  /// its backward needs the tensor.
  [[nodiscard]] at::Tensor output(std::int64_t micro_batch, std::int32_t tensor) const;
  void release_output(std::int64_t micro_batch, std::int32_t tensor);

  // -- Loss, in the stage that has the network's output.

  /// Cross entropy of the output with `target` (Long: [n] for [classes]; [n, spatial...] for [classes, spatial...];
  /// [n, tokens] for [tokens, classes] of a network that reads token ids): the mean over all positions of
  /// class_weight[target] x -log p, times `scale` (1/M). Keeps the gradient for backward(). Returns the loss, a scalar
  /// float32 (float64 for Double) on the device. `class_weights` may be undefined: all ones.
  at::Tensor loss(std::int64_t micro_batch, const at::Tensor& target, const at::Tensor& class_weights, double scale);
  /// The network's output of a forward() that was not followed by loss(); dropped on return.
  [[nodiscard]] at::Tensor take_network_output(std::int64_t micro_batch);
  /// A gradient of the network's output in place of the loss's (Grad-CAM).
  void put_output_gradient(std::int64_t micro_batch, at::Tensor value);

  // -- Backward.

  /// The gradient of an output from the stage `reader`, handed over: it may be written to. Several readers' are added
  /// from the last stage down, whatever the order of arrival, before those of readers in this stage.
  void put_gradient(std::int64_t micro_batch, std::int32_t tensor, StageId reader, at::Tensor value);
  /// Segment k of the backward covers the units of bucket k; -1 is the whole. Adds to the gradients of parameters.
  void backward(std::int64_t micro_batch, std::int32_t segment);
  /// The gradient of an input, complete once the backward of the lowest unit that reads it is done. Handed over.
  [[nodiscard]] at::Tensor take_input_gradient(std::int64_t micro_batch, std::int32_t tensor);

  // -- Once a step.

  [[nodiscard]] std::size_t bucket_count() const;
  /// All gradients of a bucket, flat, in the order of StageOutline::buckets; all-reduced in place. bytes = what the
  /// Program says.
  [[nodiscard]] at::Tensor gradient(std::size_t bucket);
  /// Sum of squares of all gradients: float64 scalar on the device.
  [[nodiscard]] at::Tensor squared_gradient_norm() const;
  /// Multiplies all gradients by `factor`, a scalar on the device.
  void scale_gradients(const at::Tensor& factor);
  /// What this replica's micro-batches contribute to the running statistics of the step, flat (float32; float64 for
  /// Double and with wide sums): sums over its micro-batches m of momentum (1 - momentum)^(M-1-m) stat_m. All-reduced
  /// in place by CombineStatistics; undefined without batch norm.
  [[nodiscard]] at::Tensor pending_statistics();
  /// The optimizer's step, in one pass over each flat bucket; then gradients are zero and running statistics are
  /// (1 - momentum)^M running + pending.
  void update(const UpdateOptions& options);
  /// M of the step: weights of the running statistics.
  void set_micro_batches(std::int64_t micro_batches);

  // -- State.

  [[nodiscard]] std::vector<NamedTensor> parameters();
  [[nodiscard]] std::vector<NamedTensor> buffers();  ///< running statistics
  /// "NAME/momentum", or "NAME/exp_avg" and "NAME/exp_avg_sq"; "NAME/master" in bfloat16.
  [[nodiscard]] std::vector<NamedTensor> optimizer_state();
  /// To be called after parameters() were written to from outside: bfloat16 copies them to the master weights.
  void parameters_changed();
  /// Forgets everything in flight and the gradients and statistics of an unfinished step (after a fault).
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Names of parameters and buffers in their order, with shapes, as StageModule names them.
struct StateEntry {
  std::string name;
  std::vector<std::int64_t> shape;
  bool is_parameter = true;
};
[[nodiscard]] std::vector<StateEntry> model_state(const Network& network);

}  // namespace gabra::exec
