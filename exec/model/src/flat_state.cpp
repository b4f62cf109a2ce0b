// SPDX-License-Identifier: MIT
#include "flat_state.hpp"

#include "cpu_kernels.hpp"
#include "state.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra::exec {
namespace {

/// Elements that are widened to float32 at a time: what bfloat16's update and the norm need besides the state.
constexpr std::int64_t kChunk = std::int64_t{1} << 20;

c10::ScalarType wide_type(c10::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

bool lies_in(const UnitRange& range, const Network& network, std::size_t layer) {
  const auto units = network.units();
  return layer >= units[static_cast<std::size_t>(range.first)].first.index() &&
         layer < units[static_cast<std::size_t>(range.end) - 1].end.index();
}

void step_by_libtorch(Optimizer optimizer, const UpdateOptions& options, const at::Tensor& weights,
                      const at::Tensor& gradients, const at::Tensor& first, const at::Tensor& second) {
  if (optimizer == Optimizer::SgdMomentum) {
    // The buffer starts at zero, so that PyTorch's special first step (buffer = gradient) is the general one.
    at::_fused_sgd_({weights}, {gradients}, {first}, options.weight_decay, options.momentum, options.learning_rate,
                    /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
  } else {
    const at::Tensor steps = at::full({}, static_cast<double>(options.step), weights.options().dtype(at::kFloat));
    at::_fused_adamw_({weights}, {gradients}, {first}, {second}, {}, {steps}, options.learning_rate, options.beta1,
                      options.beta2, options.weight_decay, options.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

template <class T>
void step_on_cpu(Optimizer optimizer, const UpdateOptions& options, const at::Tensor& weights,
                 const at::Tensor& gradients, const at::Tensor& first, const at::Tensor& second) {
  const auto count = static_cast<double>(options.step);
  const cpu::SgdRule sgd{options.learning_rate, options.momentum, options.weight_decay};
  const cpu::AdamWRule adamw{options.learning_rate,
                             options.beta1,
                             options.beta2,
                             options.epsilon,
                             options.weight_decay,
                             1.0 - std::pow(options.beta1, count),
                             1.0 - std::pow(options.beta2, count)};
  at::parallel_for(0, weights.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
    T* const weight = weights.mutable_data_ptr<T>() + begin;
    const T* const gradient = gradients.const_data_ptr<T>() + begin;
    T* const mean = first.mutable_data_ptr<T>() + begin;
    if (optimizer == Optimizer::SgdMomentum)
      cpu::sgd_step(weight, gradient, mean, end - begin, sgd);
    else
      cpu::adamw_step(weight, gradient, {mean, second.mutable_data_ptr<T>() + begin}, end - begin, adamw);
  });
}

}  // namespace

void Parameter::accumulate(const at::Tensor& contribution) {
  if (take_beta() == 0.0)
    gradient.copy_(contribution.view_as(gradient));
  else
    gradient.add_(contribution.view_as(gradient));
}

double Parameter::take_beta() { return std::exchange(has_gradient, true) ? 1.0 : 0.0; }

void Parameter::settle() {
  if (!std::exchange(has_gradient, true)) gradient.zero_();
}

FlatState::FlatState(const Network& network, const StageOutline& outline, Optimizer optimizer,
                     const ModelOptions& options)
    : optimizer_(optimizer), has_master_(options.dtype == at::kBFloat16), ranges_(outline.buckets) {
  if (ranges_.empty()) ranges_.push_back(outline.units);
  if (optimizer == Optimizer::SgdMomentum)
    state_names_ = {"momentum"};
  else
    state_names_ = {"exp_avg", "exp_avg_sq"};
  if (has_master_) state_names_.emplace_back("master");
  const auto units = network.units();
  first_layer_ = units[static_cast<std::size_t>(outline.units.first)].first.index();
  layers_.resize(units[static_cast<std::size_t>(outline.units.end) - 1].end.index() - first_layer_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].first = parameters_.size();
    for (StateRule& rule : state_of(network, LayerId(first_layer_ + i)))
      if (rule.entry.is_parameter) parameters_.push_back({std::move(rule.entry.name), {}, {}, false});
    layers_[i].end = parameters_.size();
  }
  offsets_.resize(parameters_.size());
  bucket_of_.resize(parameters_.size());
  buckets_.resize(ranges_.size());
  for (std::size_t b = 0; b < ranges_.size(); ++b) allocate_bucket(b, network, options);
  allocate_statistics(network, options);
}

void FlatState::allocate_bucket(std::size_t bucket, const Network& network, const ModelOptions& options) {
  std::vector<std::pair<std::size_t, StateRule>> rules;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!lies_in(ranges_[bucket], network, first_layer_ + i)) continue;
    std::size_t next = layers_[i].first;
    for (StateRule& rule : state_of(network, LayerId(first_layer_ + i))) {
      if (!rule.entry.is_parameter) continue;
      bucket_of_[next] = bucket;
      offsets_[next] = total;
      total += element_count(rule.entry);
      rules.emplace_back(next++, std::move(rule));
    }
  }
  const auto kind = at::TensorOptions().device(options.device);
  Bucket& flat = buckets_[bucket];
  flat.weights = at::empty({total}, kind.dtype(options.dtype));
  flat.gradients = at::zeros({total}, kind.dtype(options.dtype));
  for (std::size_t s = 0; s < state_names_.size(); ++s)
    flat.state.push_back(at::zeros({total}, kind.dtype(wide_type(options.dtype))));
  for (const auto& [index, rule] : rules) {
    const auto view = [&, at = offsets_[index], count = element_count(rule.entry), &shape = rule.entry.shape](
                          const at::Tensor& whole) { return whole.narrow(0, at, count).view(shape); };
    Parameter& parameter = parameters_[index];
    parameter.value = view(flat.weights);
    parameter.gradient = view(flat.gradients);
    if (has_master_) initialise(rule, options.seed, view(flat.state.back()));
    initialise(rule, options.seed, parameter.value);
  }
}

void FlatState::allocate_statistics(const Network& network, const ModelOptions& options) {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) total += network.layers()[first_layer_ + i].costs.buffers;
  if (total == 0) return;
  const auto kind = at::TensorOptions().device(options.device).dtype(wide_type(options.dtype));
  running_ = at::zeros({total}, kind);
  pending_ = at::zeros({total}, kind);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = network.layers()[first_layer_ + i];
    const auto* norm = std::get_if<BatchNorm>(&layer.attributes);
    if (norm == nullptr) continue;
    const std::int64_t channels = layer.output[0];
    layers_[i].statistics = static_cast<std::ptrdiff_t>(statistics_.size());
    statistics_.push_back({running_.narrow(0, offset, channels), running_.narrow(0, offset + channels, channels),
                           pending_.narrow(0, offset, channels), pending_.narrow(0, offset + channels, channels),
                           norm->momentum});
    statistics_.back().running_var.fill_(1.0);
    statistics_names_.push_back(layer.name);
    offset += 2 * channels;
  }
  set_micro_batches(1);
}

std::span<Parameter> FlatState::parameters_of(LayerId layer) {
  const LayerState& state = layers_[layer.index() - first_layer_];
  return std::span(parameters_).subspan(state.first, state.end - state.first);
}

BatchStatistics* FlatState::statistics_of(LayerId layer) {
  const std::ptrdiff_t index = layers_[layer.index() - first_layer_].statistics;
  return index < 0 ? nullptr : &statistics_[static_cast<std::size_t>(index)];
}

at::Tensor FlatState::gradient(std::size_t bucket) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (bucket_of_[i] == bucket) parameters_[i].settle();
  return buckets_[bucket].gradients;
}

void FlatState::settle_gradients() {
  for (Parameter& parameter : parameters_) parameter.settle();
}

at::Tensor FlatState::squared_gradient_norm() {
  settle_gradients();
  at::Tensor sum = at::zeros({}, buckets_[0].gradients.options().dtype(at::kDouble));
  for (const Bucket& bucket : buckets_)
    for (const at::Tensor& part : bucket.gradients.split(kChunk))
      if (part.numel() > 0) sum.add_(part.to(at::kDouble).square().sum());
  return sum;
}

void FlatState::scale_gradients(const at::Tensor& factor) {
  settle_gradients();
  for (Bucket& bucket : buckets_) bucket.gradients.mul_(factor);
}

void FlatState::set_micro_batches(std::int64_t micro_batches) {
  if (decay_.defined() && micro_batches == micro_batches_) return;
  micro_batches_ = micro_batches;
  if (!running_.defined()) return;
  decay_ = at::empty_like(running_);
  std::int64_t offset = 0;
  for (const BatchStatistics& statistics : statistics_) {
    const std::int64_t count = 2 * statistics.running_mean.numel();
    decay_.narrow(0, offset, count).fill_(std::pow(1.0 - statistics.momentum, static_cast<double>(micro_batches)));
    offset += count;
  }
}

void FlatState::update(const UpdateOptions& options) {
  settle_gradients();
  for (Bucket& bucket : buckets_)
    if (bucket.weights.numel() > 0) update_bucket(bucket, options);
  for (Parameter& parameter : parameters_) parameter.has_gradient = false;
  if (!running_.defined()) return;
  running_.mul_(decay_).add_(pending_);
  pending_.zero_();
}

void FlatState::copy_to_master() {
  if (!has_master_) return;
  for (Bucket& bucket : buckets_) bucket.state.back().copy_(bucket.weights);
}

void FlatState::forget_step() {
  for (Parameter& parameter : parameters_) parameter.has_gradient = false;
  if (pending_.defined()) pending_.zero_();
}

void FlatState::update_bucket(Bucket& bucket, const UpdateOptions& options) const {
  const auto step = [&](const at::Tensor& weights, const at::Tensor& gradients, const at::Tensor& first,
                        const at::Tensor& second) {
    if (!weights.is_cpu())
      step_by_libtorch(optimizer_, options, weights, gradients, first, second);
    else if (weights.scalar_type() == at::kFloat)
      step_on_cpu<float>(optimizer_, options, weights, gradients, first, second);
    else
      step_on_cpu<double>(optimizer_, options, weights, gradients, first, second);
  };
  const at::Tensor& first = bucket.state[0];
  const at::Tensor& second = bucket.state[optimizer_ == Optimizer::SgdMomentum ? 0 : 1];
  if (!has_master_) return step(bucket.weights, bucket.gradients, first, second);
  const at::Tensor& master = bucket.state.back();
  for (std::int64_t at = 0; at < master.numel(); at += kChunk) {
    const std::int64_t count = std::min(kChunk, master.numel() - at);
    const at::Tensor gradients = bucket.gradients.narrow(0, at, count).to(at::kFloat);
    step(master.narrow(0, at, count), gradients, first.narrow(0, at, count), second.narrow(0, at, count));
    bucket.weights.narrow(0, at, count).copy_(master.narrow(0, at, count));
  }
}

std::vector<NamedTensor> FlatState::parameters() {
  std::vector<NamedTensor> result;
  for (const Parameter& parameter : parameters_) result.push_back({parameter.name, parameter.value});
  return result;
}

std::vector<NamedTensor> FlatState::buffers() {
  std::vector<NamedTensor> result;
  for (std::size_t i = 0; i < statistics_.size(); ++i) {
    result.push_back({statistics_names_[i] + ".running_mean", statistics_[i].running_mean});
    result.push_back({statistics_names_[i] + ".running_var", statistics_[i].running_var});
  }
  return result;
}

std::vector<NamedTensor> FlatState::optimizer_state() {
  std::vector<NamedTensor> result;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    for (std::size_t s = 0; s < state_names_.size(); ++s) {
      const at::Tensor& whole = buckets_[bucket_of_[i]].state[s];
      const at::Tensor& value = parameters_[i].value;
      result.push_back({parameters_[i].name + "/" + state_names_[s],
                        whole.narrow(0, offsets_[i], value.numel()).view(value.sizes())});
    }
  return result;
}

}  // namespace gabra::exec
