// SPDX-License-Identifier: MIT
#include "flat_state.hpp"

#include "chunks.hpp"
#include "gabra/core/check.hpp"
#include "state.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra::exec {
namespace {

c10::ScalarType wide_type(c10::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

/// Of gradients.
c10::ScalarType sum_type(const ModelOptions& options) {
  if (!options.sums_wide) return options.dtype;
  return options.dtype == at::kBFloat16 ? at::kFloat : at::kDouble;
}

bool lies_in(const UnitRange& range, const Network& network, std::size_t layer) {
  const auto units = network.units();
  return layer >= units[static_cast<std::size_t>(range.first)].first.index() &&
         layer < units[static_cast<std::size_t>(range.end) - 1].end.index();
}

/// The power of two, at most 64, that divides the number of elements. Parameters lie in the order of falling ones, so
/// that each begins at a multiple of its own: cuDNN and cuBLAS have slower kernels for weights that are not at a
/// multiple of 16 bytes, and attention's gamma, one element, would put all that follow it there.
std::int64_t alignment_of(const StateRule& rule) {
  constexpr std::int64_t kMost = 64;
  const std::int64_t count = element_count(rule.entry);
  return std::min(kMost, count & -count);
}

/// ATen widens all of an addend on the CPU before it adds.
void add_by_chunks(const at::Tensor& sum, const at::Tensor& addend) {
  const std::int64_t chunk = chunk_for(sum);
  for (std::int64_t at = 0; at < sum.numel(); at += chunk) {
    const std::int64_t count = std::min(chunk, sum.numel() - at);
    sum.narrow(0, at, count).add_(addend.narrow(0, at, count));
  }
}

}  // namespace

void Parameter::accumulate(const at::Tensor& contribution) {
  if (take_beta() == 0.0)
    gradient.copy_(contribution.view_as(gradient));
  else if (is_as_wide_as_value() || !gradient.is_cpu())
    gradient.add_(contribution.view_as(gradient));
  else
    add_by_chunks(gradient.view(-1), contribution.reshape(-1));
}

double Parameter::take_beta() { return std::exchange(has_gradient, true) ? 1.0 : 0.0; }

void Parameter::settle() {
  if (!std::exchange(has_gradient, true)) gradient.zero_();
}

FlatState::FlatState(const Network& network, const StageOutline& outline, Optimizer optimizer,
                     const ModelOptions& options)
    : optimizer_(optimizer),
      only_outputs_(options.only_outputs),
      has_master_(options.dtype == at::kBFloat16 && !options.only_outputs),
      ranges_(outline.buckets) {
  if (ranges_.empty()) ranges_.push_back(outline.units);
  if (!only_outputs_ && optimizer == Optimizer::SgdMomentum) state_names_ = {"momentum"};
  if (!only_outputs_ && optimizer == Optimizer::AdamW) state_names_ = {"exp_avg", "exp_avg_sq"};
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
  std::vector<std::pair<std::size_t, StateRule>> rules;  // by index of the parameter
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!lies_in(ranges_[bucket], network, first_layer_ + i)) continue;
    std::size_t next = layers_[i].first;
    for (StateRule& rule : state_of(network, LayerId(first_layer_ + i))) {
      if (!rule.entry.is_parameter) continue;
      bucket_of_[next] = bucket;
      rules.emplace_back(next++, std::move(rule));
    }
  }
  std::stable_sort(rules.begin(), rules.end(),
                   [](const auto& a, const auto& b) { return alignment_of(a.second) > alignment_of(b.second); });
  std::int64_t total = 0;
  for (const auto& [index, rule] : rules) {
    offsets_[index] = total;
    total += element_count(rule.entry);
  }
  const auto kind = at::TensorOptions().device(options.device);
  Bucket& flat = buckets_[bucket];
  flat.weights =
      only_outputs_ ? at::zeros({total}, kind.dtype(options.dtype)) : at::empty({total}, kind.dtype(options.dtype));
  if (!only_outputs_) flat.gradients = at::zeros({total}, kind.dtype(sum_type(options)));
  for (std::size_t s = 0; s < state_names_.size(); ++s)
    flat.state.push_back(at::zeros({total}, kind.dtype(wide_type(options.dtype))));
  for (const auto& [index, rule] : rules) {
    const auto view = [&, at = offsets_[index], count = element_count(rule.entry), &shape = rule.entry.shape](
                          const at::Tensor& whole) { return whole.narrow(0, at, count).view(shape); };
    Parameter& parameter = parameters_[index];
    parameter.value = view(flat.weights);
    // Kernels want one of that shape when they are made; check_trains() sees to it that nobody writes there.
    parameter.gradient = only_outputs_ ? parameter.value : view(flat.gradients);
    if (only_outputs_) continue;
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
  if (!only_outputs_) pending_ = at::zeros({total}, options.sums_wide ? kind.dtype(at::kDouble) : kind);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = network.layers()[first_layer_ + i];
    const auto* norm = std::get_if<BatchNorm>(&layer.attributes);
    if (norm == nullptr) continue;
    const std::int64_t channels = layer.output[0];
    layers_[i].statistics = static_cast<std::ptrdiff_t>(statistics_.size());
    const auto pending = [&](std::int64_t at) {
      return only_outputs_ ? at::Tensor() : pending_.narrow(0, at, channels);
    };
    statistics_.push_back({running_.narrow(0, offset, channels), running_.narrow(0, offset + channels, channels),
                           pending(offset), pending(offset + channels), norm->momentum});
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

void FlatState::check_trains() const { GABRA_CHECK(!only_outputs_, "a module for outputs alone is not trained"); }

at::Tensor FlatState::gradient(std::size_t bucket) {
  check_trains();
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (bucket_of_[i] == bucket) parameters_[i].settle();
  return buckets_[bucket].gradients;
}

void FlatState::settle_gradients() {
  check_trains();
  for (Parameter& parameter : parameters_) parameter.settle();
}

at::Tensor FlatState::squared_gradient_norm() {
  settle_gradients();
  std::vector<at::Tensor> gradients;
  for (const Bucket& bucket : buckets_) gradients.push_back(bucket.gradients);
  return gradients[0].is_cpu() ? squared_norm_on_cpu(gradients) : squared_norm_by_libtorch(gradients);
}

void FlatState::scale_gradients(const at::Tensor& factor) {
  settle_gradients();
  for (Bucket& bucket : buckets_) bucket.gradients.mul_(factor);
}

void FlatState::set_micro_batches(std::int64_t micro_batches) {
  if (decay_.defined() && micro_batches == micro_batches_) return;
  micro_batches_ = micro_batches;
  if (!running_.defined() || only_outputs_) return;
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
  const std::vector<FlatStep> steps = flat_steps();
  if (buckets_[0].weights.is_cpu())
    for (const FlatStep& step : steps) step_on_cpu(optimizer_, options, step);
  else
    step_by_libtorch(optimizer_, options, steps);
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

std::vector<FlatStep> FlatState::flat_steps() const {
  std::vector<FlatStep> steps;
  for (const Bucket& bucket : buckets_) {
    if (bucket.weights.numel() == 0) continue;
    steps.push_back({bucket.weights, bucket.gradients, bucket.state[0], {}, {}});
    if (optimizer_ == Optimizer::AdamW) steps.back().second = bucket.state[1];
    if (has_master_) steps.back().master = bucket.state.back();
  }
  return steps;
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
