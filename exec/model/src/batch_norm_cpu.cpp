// SPDX-License-Identifier: MIT
#include "batch_norm_cpu.hpp"

#include "cpu_kernels.hpp"
#include "gabra/core/error.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

namespace gabra::exec {
namespace {

/// Batch norm with what follows it in the same pass: y = relu(norm(x) + residual). Forward reads x twice and the
/// residual once, backward reads x twice, y once and the gradient twice; nothing but y and the gradients is made.
template <class T>
class BatchNormOnCpu final : public LayerKernel {
 public:
  BatchNormOnCpu(const BatchNorm& layer, const KernelParts& parts, Followers followers)
      : epsilon_(layer.epsilon),
        name_(parts.network.layer(parts.layer).name),
        followers_(followers),
        weight_(parts.parameters[0]),
        bias_(parts.parameters[1]),
        statistics_(*parts.statistics),
        state_(parts.state) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& pass, Saved& saved) override {
    const at::Tensor x = inputs[0].tensor.contiguous();
    refuse_single_value(name_, x, pass.context.is_training);
    at::Tensor y = followers_.has_residual && inputs[1].may_overwrite ? inputs[1].tensor : at::empty_like(x);
    // Rows: mean and 1 / deviation that x was normalised with.
    const at::Tensor moments = at::empty({2, x.size(1)}, at::kDouble);
    saved.is_training = pass.context.is_training;
    const cpu::ChannelRuns runs = runs_of(x);
    const at::Tensor added = followers_.has_residual ? inputs[1].tensor.contiguous() : at::Tensor();
    const T* const residual = added.defined() ? added.const_data_ptr<T>() : static_cast<const T*>(nullptr);
    at::parallel_for(0, x.size(1), 1, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t c = first; c < end; ++c) {
        const std::int64_t at = c * runs.positions;
        double* const moment = moments.mutable_data_ptr<double>() + c;
        find_moments(x.const_data_ptr<T>() + at, runs, c, pass, moment);
        const auto line =
            cpu::normalisation<T>(moment[0], static_cast<T>(moment[x.size(1)]), weight_.value.const_data_ptr<T>()[c],
                                  bias_.value.const_data_ptr<T>()[c]);
        cpu::channel_normalise(x.const_data_ptr<T>() + at, y.mutable_data_ptr<T>() + at, runs, line,
                               {residual == nullptr ? nullptr : residual + at, followers_.has_relu});
      }
    });
    saved.tensors = {x, moments};
    if (followers_.has_relu) saved.tensors.push_back(y);
    return y;
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor x = std::move(saved.tensors[0]), moments = std::move(saved.tensors[1]);
    const at::Tensor y = followers_.has_relu ? std::move(saved.tensors[2]) : at::Tensor();
    // Of the sum before the ReLU; it is written over unless others hold it.
    at::Tensor g = gradient.contiguous();
    gradient.reset();
    if (followers_.has_relu && !is_exclusive(g)) g = g.clone();
    const bool hands_on = followers_.has_residual && wants(1);
    at::Tensor result;
    if (wants()) result = !hands_on && is_exclusive(g) ? g : at::empty_like(x);
    const bool adds_weight = weight_.take_beta() != 0.0, adds_bias = bias_.take_beta() != 0.0;
    const cpu::ChannelRuns runs = runs_of(x);
    at::parallel_for(0, x.size(1), 1, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t c = first; c < end; ++c) {
        const std::int64_t at = c * runs.positions;
        const double mean = moments.const_data_ptr<double>()[c];
        const double inverse = moments.const_data_ptr<double>()[x.size(1) + c];
        T* const gradients = g.mutable_data_ptr<T>() + at;
        const cpu::GradientSums sums = cpu::channel_gradient_sums(
            x.const_data_ptr<T>() + at, gradients, y.defined() ? y.const_data_ptr<T>() + at : nullptr, runs, mean);
        add_rounded(weight_.gradient, c, sums.dot * inverse, adds_weight);
        add_rounded(bias_.gradient, c, sums.sum, adds_bias);
        if (!result.defined()) continue;
        const double count = saved.is_training ? static_cast<double>(runs.samples * runs.positions)
                                               : std::numeric_limits<double>::infinity();
        cpu::channel_input_gradient(x.const_data_ptr<T>() + at, gradients, result.mutable_data_ptr<T>() + at, runs,
                                    {.scale = inverse * static_cast<double>(weight_.value.const_data_ptr<T>()[c]),
                                     .offset = sums.sum / count,
                                     .slope = inverse * inverse * sums.dot / count,
                                     .mean = mean});
      }
    });
    if (wants()) input_gradients[0] = std::move(result);
    if (hands_on) input_gradients[1] = std::move(g);
  }

 private:
  static cpu::ChannelRuns runs_of(const at::Tensor& x) {
    const std::int64_t positions = x.numel() / (x.size(0) * x.size(1));
    return {x.size(0), positions, x.size(1) * positions};
  }
  /// `value` is rounded to T also where the sum is wider: sums of such are exact then.
  static void add_rounded(const at::Tensor& sums, std::int64_t channel, double value, bool adds) {
    const auto contribution = static_cast<T>(value);
    const auto add = [&](auto& sum) {
      using Sum = std::decay_t<decltype(sum)>;
      sum = adds ? sum + static_cast<Sum>(contribution) : static_cast<Sum>(contribution);
    };
    if (sums.scalar_type() == at::kDouble)
      add(sums.mutable_data_ptr<double>()[channel]);
    else
      add(sums.mutable_data_ptr<float>()[channel]);
  }

  /// Mean and 1 / deviation of channel `c` into moment[0] and moment[channels].
  void find_moments(const T* x, const cpu::ChannelRuns& runs, std::int64_t c, const ForwardPass& pass, double* moment) {
    const std::int64_t channels = weight_.value.numel();
    if (!pass.context.is_training) {
      moment[0] = static_cast<double>(statistics_.running_mean.const_data_ptr<T>()[c]);
      moment[channels] =
          1.0 / std::sqrt(static_cast<double>(statistics_.running_var.const_data_ptr<T>()[c]) + epsilon_);
      return;
    }
    const auto count = static_cast<double>(runs.samples * runs.positions);
    const cpu::Moments found = cpu::channel_moments(x, runs);
    moment[0] = found.mean;
    moment[channels] = static_cast<double>(cpu::inverse_deviation<T>(found, runs, epsilon_));
    if (!pass.context.updates_statistics) return;
    const double share = statistics_share(statistics_, state_, pass);
    add_rounded(statistics_.pending_mean, c, share * found.mean, true);
    add_rounded(statistics_.pending_var, c, share * found.squares / (count - 1.0), true);
  }

  double epsilon_;
  std::string name_;
  Followers followers_;
  Parameter& weight_;
  Parameter& bias_;
  BatchStatistics& statistics_;
  const FlatState& state_;
};

}  // namespace

bool has_batch_norm_on_cpu(const ModelOptions& options) {
  return options.device.is_cpu() && (options.dtype == at::kFloat || options.dtype == at::kDouble);
}

KernelPointer make_batch_norm_on_cpu(const BatchNorm& layer, const KernelParts& parts, Followers followers) {
  if (parts.options.dtype == at::kFloat) return std::make_unique<BatchNormOnCpu<float>>(layer, parts, followers);
  return std::make_unique<BatchNormOnCpu<double>>(layer, parts, followers);
}

void refuse_single_value(const std::string& layer, const at::Tensor& x, bool is_training) {
  if (is_training && x.numel() == x.size(1))
    throw_input_error(layer, "one value per channel in a micro-batch",
                      "more samples or positions: its variance is not defined");
}

double statistics_share(const BatchStatistics& statistics, const FlatState& state, const ForwardPass& pass) {
  const auto later = static_cast<double>(state.micro_batches() - 1 - pass.micro_batch);
  return statistics.momentum * std::pow(1.0 - statistics.momentum, later);
}

}  // namespace gabra::exec
