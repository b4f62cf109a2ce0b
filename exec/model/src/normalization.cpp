// SPDX-License-Identifier: MIT
#include "batch_norm_cpu.hpp"
#include "kernel.hpp"

#include <ATen/ATen.h>

#include <utility>

namespace gabra::exec {
namespace {

/// Training: normalises with the micro-batch's mean and biased variance, and adds mean and unbiased variance to the
/// pending statistics with the weight that sequential training would leave them. Evaluation: running statistics. By
/// LibTorch, for CUDA and bfloat16, which picks cuDNN or kernels of its own as torch.nn.BatchNorm does.
class BatchNormKernel final : public LayerKernel {
 public:
  BatchNormKernel(const BatchNorm& layer, const KernelParts& parts)
      : epsilon_(layer.epsilon),
        name_(parts.network.layer(parts.layer).name),
        weight_(parts.parameters[0]),
        bias_(parts.parameters[1]),
        statistics_(*parts.statistics),
        state_(parts.state) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& pass, Saved& saved) override {
    const at::Tensor& x = inputs[0].tensor;
    saved.is_training = pass.context.is_training;
    if (!pass.context.is_training) {
      saved.tensors = {x};
      return std::get<0>(at::native_batch_norm(x, wide(weight_), wide(bias_), statistics_.running_mean,
                                               statistics_.running_var, false, 0.0, epsilon_));
    }
    refuse_single_value(name_, x, true);
    // With momentum 1 what LibTorch keeps as running statistics are the micro-batch's mean and unbiased variance.
    const at::Tensor mean = at::zeros_like(statistics_.running_mean);
    const at::Tensor variance = at::zeros_like(statistics_.running_var);
    auto [y, saved_mean, saved_scale, reserve, implementation] =
        at::_batch_norm_impl_index(x, wide(weight_), wide(bias_), mean, variance, true, 1.0, epsilon_, kMayUseCudnn);
    if (pass.context.updates_statistics) {
      const double share = statistics_share(statistics_, state_, pass);
      add_pending(statistics_.pending_mean, mean, share);
      add_pending(statistics_.pending_var, variance, share);
    }
    saved.tensors = {x, saved_mean, saved_scale, reserve};
    saved.implementation = implementation;
    return y;
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const bool trains = saved.is_training;
    saved.tensors.resize(4);
    const at::Tensor x = std::move(saved.tensors[0]);
    auto [input_gradient, weight_gradient, bias_gradient] = at::_batch_norm_impl_index_backward(
        saved.implementation, x, gradient, wide(weight_), statistics_.running_mean, statistics_.running_var,
        saved.tensors[1], saved.tensors[2], trains, epsilon_, {wants(), true, true}, saved.tensors[3]);
    weight_.accumulate(weight_gradient);
    bias_.accumulate(bias_gradient);
    if (wants()) input_gradients[0] = std::move(input_gradient);
  }

 private:
  /// Parameters in the precision of the statistics, as LibTorch wants them for bfloat16 inputs.
  [[nodiscard]] at::Tensor wide(const Parameter& parameter) const {
    return parameter.value.to(statistics_.running_mean.scalar_type());
  }

  /// Where sums are wide, the product is rounded before: its sums are exact then.
  static void add_pending(at::Tensor& pending, const at::Tensor& statistic, double share) {
    if (pending.scalar_type() == statistic.scalar_type())
      pending.add_(statistic, share);
    else
      pending.add_(statistic.mul(share));
  }

  static constexpr bool kMayUseCudnn = true;
  double epsilon_;
  std::string name_;
  Parameter& weight_;
  Parameter& bias_;
  BatchStatistics& statistics_;
  const FlatState& state_;
};

class LayerNormKernel final : public LayerKernel {
 public:
  LayerNormKernel(const LayerNorm& layer, const KernelParts& parts)
      : epsilon_(layer.epsilon), weight_(parts.parameters[0]), bias_(parts.parameters[1]) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& x = inputs[0].tensor;
    auto [y, mean, scale] = at::native_layer_norm(x, {x.size(-1)}, weight_.value, bias_.value, epsilon_);
    saved.tensors = {x, mean, scale};
    return y;
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor x = std::move(saved.tensors[0]);
    auto [input_gradient, weight_gradient, bias_gradient] =
        at::native_layer_norm_backward(gradient, x, {x.size(-1)}, saved.tensors[1], saved.tensors[2], weight_.value,
                                       bias_.value, {wants(), true, true});
    weight_.accumulate(weight_gradient);
    bias_.accumulate(bias_gradient);
    if (wants()) input_gradients[0] = std::move(input_gradient);
  }

 private:
  double epsilon_;
  Parameter& weight_;
  Parameter& bias_;
};

}  // namespace

KernelPointer make_kernel(const BatchNorm& layer, const KernelParts& parts) {
  if (has_batch_norm_on_cpu(parts.options)) return make_batch_norm_on_cpu(layer, parts, {});
  return std::make_unique<BatchNormKernel>(layer, parts);
}
KernelPointer make_kernel(const LayerNorm& layer, const KernelParts& parts) {
  return std::make_unique<LayerNormKernel>(layer, parts);
}

}  // namespace gabra::exec
