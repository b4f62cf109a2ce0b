// SPDX-License-Identifier: MIT
#include "gabra/exec/stage_module.hpp"

#include "flat_state.hpp"
#include "gabra/core/check.hpp"
#include "loss.hpp"
#include "micro_batch.hpp"
#include "stage_graph.hpp"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include <fmt/format.h>

#include <functional>
#include <map>
#include <utility>

namespace gabra::exec {

/// Skips autograd's part of every operation.
using NoTape = at::AutoDispatchBelowADInplaceOrView;

struct StageModule::Impl {
  Impl(const Network& whole, const StageOutline& outline, Optimizer optimizer, const ModelOptions& options)
      : network(whole),
        state(whole, outline, optimizer, options),
        graph(whole, outline, state, options),
        units(outline.units),
        dtype(options.dtype),
        between_layers(options.between_layers) {}

  MicroBatchPasses& passes(std::int64_t micro_batch) {
    return in_flight.try_emplace(micro_batch, graph, network.layers().size(), between_layers).first->second;
  }
  const MicroBatchPasses& existing(std::int64_t micro_batch) const {
    const auto found = in_flight.find(micro_batch);
    GABRA_CHECK(found != in_flight.end(), fmt::format("micro-batch {} is not in flight", micro_batch));
    return found->second;
  }
  [[nodiscard]] LayerId layer_of(std::int32_t tensor) const {
    return network.unit_tensors()[static_cast<std::size_t>(tensor)].layer;
  }
  [[nodiscard]] LayerId network_output() const { return LayerId(network.layers().size() - 1); }

  const Network& network;
  FlatState state;
  StageGraph graph;
  UnitRange units;
  c10::ScalarType dtype;
  std::function<void(LayerId)> between_layers;
  std::map<std::int64_t, MicroBatchPasses> in_flight;
};

StageModule::StageModule(const Network& network, const StageOutline& outline, Optimizer optimizer,
                         const ModelOptions& options) {
  const NoTape no_tape;
  impl_ = std::make_unique<Impl>(network, outline, optimizer, options);
}

StageModule::~StageModule() = default;

void StageModule::put_network_input(std::int64_t micro_batch, std::vector<at::Tensor> inputs) {
  const NoTape no_tape;
  MicroBatchPasses& passes = impl_->passes(micro_batch);
  for (const LayerId layer : impl_->graph.network_inputs()) {
    // Input layers are the first of the network.
    GABRA_CHECK(layer.index() < inputs.size(), fmt::format("{} inputs", inputs.size()));
    at::Tensor& value = inputs[layer.index()];
    const bool is_ids = std::get<Input>(impl_->network.layer(layer).attributes).is_token_ids;
    passes.put_value(layer, is_ids ? std::move(value) : value.to(impl_->dtype));
  }
}

void StageModule::put_activation(std::int64_t micro_batch, std::int32_t tensor, at::Tensor value) {
  impl_->passes(micro_batch).put_value(impl_->layer_of(tensor), std::move(value));
}

void StageModule::forward(std::int64_t micro_batch, bool keeps, const PassContext& pass) {
  const NoTape no_tape;
  if (keeps || pass.is_training) impl_->state.check_trains();
  impl_->passes(micro_batch).forward({pass, micro_batch}, keeps);
}

void StageModule::recompute(std::int64_t micro_batch, const PassContext& pass) {
  const NoTape no_tape;
  ForwardPass again{pass, micro_batch};
  again.context.updates_statistics = false;
  impl_->passes(micro_batch).recompute(again);
}

at::Tensor StageModule::output(std::int64_t micro_batch, std::int32_t tensor) const {
  return impl_->existing(micro_batch).output(impl_->layer_of(tensor));
}

void StageModule::release_output(std::int64_t micro_batch, std::int32_t tensor) {
  (void)impl_->passes(micro_batch).take_output(impl_->layer_of(tensor));
}

at::Tensor StageModule::loss(std::int64_t micro_batch, const at::Tensor& target, const at::Tensor& class_weights,
                             double scale) {
  const NoTape no_tape;
  const LayerId layer = impl_->network_output();
  MicroBatchPasses& passes = impl_->passes(micro_batch);
  const at::Tensor output = passes.take_output(layer);
  GABRA_CHECK(output.defined(), "a loss without a forward that made the network's output");
  LossResult result = cross_entropy(output, class_dimension(impl_->network, layer), target, class_weights, scale);
  passes.put_output_gradient(layer, std::move(result.gradient));
  return result.loss;
}

at::Tensor StageModule::take_network_output(std::int64_t micro_batch) {
  return impl_->passes(micro_batch).take_output(impl_->network_output());
}

void StageModule::put_output_gradient(std::int64_t micro_batch, at::Tensor value) {
  impl_->passes(micro_batch).put_output_gradient(impl_->network_output(), std::move(value));
}

void StageModule::put_gradient(std::int64_t micro_batch, std::int32_t tensor, StageId reader, at::Tensor value) {
  impl_->passes(micro_batch).put_gradient(impl_->layer_of(tensor), reader, std::move(value));
}

void StageModule::backward(std::int64_t micro_batch, std::int32_t segment) {
  const NoTape no_tape;
  const UnitRange range = segment < 0 ? impl_->units : impl_->state.buckets()[static_cast<std::size_t>(segment)];
  const auto [first, end] = impl_->graph.nodes_of(range);
  impl_->passes(micro_batch).backward(first, end);
}

at::Tensor StageModule::take_input_gradient(std::int64_t micro_batch, std::int32_t tensor) {
  return impl_->passes(micro_batch).take_gradient(impl_->layer_of(tensor));
}

std::size_t StageModule::bucket_count() const { return impl_->state.buckets().size(); }

at::Tensor StageModule::gradient(std::size_t bucket) {
  const NoTape no_tape;
  return impl_->state.gradient(bucket);
}

at::Tensor StageModule::squared_gradient_norm() const {
  const NoTape no_tape;
  return impl_->state.squared_gradient_norm();
}

void StageModule::scale_gradients(const at::Tensor& factor) {
  const NoTape no_tape;
  impl_->state.scale_gradients(factor);
}

at::Tensor StageModule::pending_statistics() { return impl_->state.pending_statistics(); }

void StageModule::update(const UpdateOptions& options) {
  const NoTape no_tape;
  impl_->state.update(options);
}

void StageModule::set_micro_batches(std::int64_t micro_batches) {
  const NoTape no_tape;
  impl_->state.set_micro_batches(micro_batches);
}

std::vector<NamedTensor> StageModule::parameters() { return impl_->state.parameters(); }
std::vector<NamedTensor> StageModule::buffers() { return impl_->state.buffers(); }
std::vector<NamedTensor> StageModule::optimizer_state() { return impl_->state.optimizer_state(); }
void StageModule::parameters_changed() {
  const NoTape no_tape;
  impl_->state.copy_to_master();
}

void StageModule::reset() {
  const NoTape no_tape;
  impl_->in_flight.clear();
  impl_->state.forget_step();
}

}  // namespace gabra::exec
