// SPDX-License-Identifier: MIT
#include "optimizer_step.hpp"

#include "chunks.hpp"
#include "cpu_kernels.hpp"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace gabra::exec {
namespace {

constexpr std::int64_t kBlock = 1 << 15;  // elements that a thread takes at once

FlatStep part_of(const FlatStep& step, std::int64_t at, std::int64_t count) {
  const auto part = [&](const at::Tensor& whole) {
    return whole.defined() ? whole.narrow(0, at, count) : at::Tensor();
  };
  return {part(step.weights), part(step.gradients), part(step.first), part(step.second), part(step.master)};
}

/// Whether gradients are of another width than what they step.
bool needs_conversion(const FlatStep& step) {
  return step.master.defined() || step.gradients.scalar_type() != step.weights.scalar_type();
}

/// Steps of the master weights, or of the weights where there are none, a chunk at a time, by `take`, which gets
/// gradients as wide as these; the weights are rounded from their master.
template <class Take>
void step_by_chunks(const FlatStep& step, const Take& take) {
  const std::int64_t chunk = chunk_for(step.weights);
  for (std::int64_t at = 0; at < step.weights.numel(); at += chunk) {
    const FlatStep part = part_of(step, at, std::min(chunk, step.weights.numel() - at));
    const at::Tensor& stepped = part.master.defined() ? part.master : part.weights;
    take(FlatStep{stepped, part.gradients.to(stepped.scalar_type()), part.first, part.second, {}});
    if (part.master.defined()) part.weights.copy_(part.master);
  }
}

template <class T>
void step_whole_on_cpu(Optimizer optimizer, const UpdateOptions& options, const FlatStep& step) {
  const auto count = static_cast<double>(options.step);
  const cpu::SgdRule sgd{options.learning_rate, options.momentum, options.weight_decay};
  const cpu::AdamWRule adamw{options.learning_rate,
                             options.beta1,
                             options.beta2,
                             options.epsilon,
                             options.weight_decay,
                             1.0 - std::pow(options.beta1, count),
                             1.0 - std::pow(options.beta2, count)};
  at::parallel_for(0, step.weights.numel(), kBlock, [&](std::int64_t begin, std::int64_t end) {
    T* const weight = step.weights.mutable_data_ptr<T>() + begin;
    const T* const gradient = step.gradients.const_data_ptr<T>() + begin;
    T* const mean = step.first.mutable_data_ptr<T>() + begin;
    if (optimizer == Optimizer::SgdMomentum)
      cpu::sgd_step(weight, gradient, mean, end - begin, sgd);
    else
      cpu::adamw_step(weight, gradient, {mean, step.second.mutable_data_ptr<T>() + begin}, end - begin, adamw);
  });
}

template <class T>
double squared_sum_of_block(const T* values, std::int64_t count) {
  std::array<double, 8> lanes{};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      const auto value = static_cast<double>(values[i + static_cast<std::int64_t>(lane)]);
      lanes[lane] += value * value;
    }
  for (; i < count; ++i) lanes[0] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
}

/// In blocks, whose sums are added in their order: the same bits with any number of threads.
template <class T>
double squared_sum(const T* values, std::int64_t count) {
  std::vector<double> sums(static_cast<std::size_t>((count + kBlock - 1) / kBlock));
  at::parallel_for(0, static_cast<std::int64_t>(sums.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block)
      sums[static_cast<std::size_t>(block)] =
          squared_sum_of_block(values + block * kBlock, std::min(kBlock, count - block * kBlock));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void fused_step(Optimizer optimizer, const UpdateOptions& options, std::span<const FlatStep> steps) {
  std::vector<at::Tensor> weights, gradients, first, second, counts;
  for (const FlatStep& step : steps) {
    weights.push_back(step.weights);
    gradients.push_back(step.gradients);
    first.push_back(step.first);
    second.push_back(step.second);
  }
  if (optimizer == Optimizer::SgdMomentum) {
    // The buffer starts at zero, so that PyTorch's special first step (buffer = gradient) is the general one.
    at::_fused_sgd_(weights, gradients, first, options.weight_decay, options.momentum, options.learning_rate,
                    /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
    return;
  }
  counts.assign(weights.size(),
                at::full({}, static_cast<double>(options.step), weights[0].options().dtype(at::kFloat)));
  at::_fused_adamw_(weights, gradients, first, second, {}, counts, options.learning_rate, options.beta1, options.beta2,
                    options.weight_decay, options.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace

void step_on_cpu(Optimizer optimizer, const UpdateOptions& options, const FlatStep& step) {
  const auto take = [&](const FlatStep& part) { step_whole_on_cpu<float>(optimizer, options, part); };
  if (needs_conversion(step))
    step_by_chunks(step, take);
  else if (step.weights.scalar_type() == at::kFloat)
    step_whole_on_cpu<float>(optimizer, options, step);
  else
    step_whole_on_cpu<double>(optimizer, options, step);
}

void step_by_libtorch(Optimizer optimizer, const UpdateOptions& options, std::span<const FlatStep> steps) {
  std::vector<FlatStep> whole;
  const auto take = [&](const FlatStep& part) { fused_step(optimizer, options, {&part, 1}); };
  for (const FlatStep& step : steps) {
    if (needs_conversion(step))
      step_by_chunks(step, take);
    else
      whole.push_back(step);
  }
  if (!whole.empty()) fused_step(optimizer, options, whole);
}

at::Tensor squared_norm_on_cpu(std::span<const at::Tensor> tensors) {
  double sum = 0.0;
  for (const at::Tensor& tensor : tensors)
    AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, tensor.scalar_type(), "squared_norm_on_cpu",
                                   [&] { sum += squared_sum(tensor.const_data_ptr<scalar_t>(), tensor.numel()); });
  return at::scalar_tensor(sum, at::kDouble);
}

at::Tensor squared_norm_by_libtorch(std::span<const at::Tensor> tensors) {
  std::vector<at::Tensor> filled;
  for (const at::Tensor& tensor : tensors)
    if (tensor.numel() > 0) filled.push_back(tensor);
  if (filled.empty()) return at::zeros({}, tensors[0].options().dtype(at::kDouble));
  return at::stack(at::_foreach_norm(filled, 2, at::kDouble)).square_().sum();
}

}  // namespace gabra::exec
