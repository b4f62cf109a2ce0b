// SPDX-License-Identifier: MIT
#include "micro_batch.hpp"

#include "gabra/core/check.hpp"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <algorithm>

namespace gabra::exec {

MicroBatchPasses::MicroBatchPasses(StageGraph& graph, std::size_t layers,
                                   const std::function<void(LayerId)>& between_layers)
    : graph_(&graph),
      between_layers_(&between_layers),
      values_(layers),
      outputs_(layers),
      gradients_(layers),
      saved_(graph.nodes().size()) {}

void MicroBatchPasses::forward(const ForwardPass& pass, bool keeps) {
  run(pass, {.keeps = keeps, .drops_inputs = keeps || !pass.context.is_training, .makes_outputs = true});
}

void MicroBatchPasses::recompute(const ForwardPass& pass) {
  run(pass, {.keeps = true, .drops_inputs = true, .makes_outputs = false});
}

void MicroBatchPasses::run(const ForwardPass& pass, Rule rule) {
  const auto nodes = graph_->nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    fill_operands(i, rule);
    Saved saved;
    at::Tensor y = nodes[i].kernel->forward(operands_, pass, saved);
    operands_.clear();
    if (rule.keeps && nodes[i].has_backward) saved_[i] = std::move(saved);
    const LayerId layer = nodes[i].output;
    if (rule.makes_outputs && graph_->leaves(layer)) outputs_[layer.index()] = y;
    if (graph_->last_reader(layer) >= 0) values_[layer.index()] = std::move(y);
    if (*between_layers_) (*between_layers_)(layer);
  }
}

void MicroBatchPasses::fill_operands(std::size_t node, Rule rule) {
  const std::vector<LayerId>& inputs = graph_->nodes()[node].inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const LayerId input = inputs[i];
    at::Tensor& value = values_[input.index()];
    GABRA_CHECK(value.defined(), fmt::format("layer {} reads layer {}, which is not there", node, input.index()));
    const bool is_external = graph_->is_external(input);
    const bool is_last_use =
        graph_->last_reader(input) == static_cast<std::ptrdiff_t>(node) &&
        std::find(inputs.begin() + static_cast<std::ptrdiff_t>(i) + 1, inputs.end(), input) == inputs.end() &&
        (!is_external || rule.drops_inputs);
    Operand operand;
    if (is_last_use)
      operand.tensor = std::move(value);
    else
      operand.tensor = value;
    operand.may_overwrite = is_last_use && !is_external && is_exclusive(operand.tensor);
    operands_.push_back(std::move(operand));
  }
}

void MicroBatchPasses::put_gradient(LayerId layer, StageId reader, at::Tensor value) {
  arrived_.push_back({layer, reader, std::move(value)});
}

void MicroBatchPasses::backward(std::size_t first, std::size_t end) {
  const auto nodes = graph_->nodes();
  for (std::size_t i = end; i-- > first;) {
    Node& node = nodes[i];
    if (!node.has_backward) continue;
    collect_arrived(node.output);
    at::Tensor gradient = std::move(gradients_[node.output.index()]);
    GABRA_CHECK(gradient.defined(), fmt::format("no gradient for the output of layer {}", node.output.index()));
    input_gradients_.assign(node.inputs.size(), at::Tensor());
    Saved saved = std::move(saved_[i]);
    saved_[i] = Saved();
    node.kernel->backward(std::move(gradient), saved, input_gradients_);
    saved.tensors.clear();
    for (std::size_t k = 0; k < node.inputs.size(); ++k)
      if (node.wanted[k]) accumulate(node.inputs[k], std::move(input_gradients_[k]));
    if (*between_layers_) (*between_layers_)(node.output);
  }
}

void MicroBatchPasses::accumulate(LayerId layer, at::Tensor gradient) {
  collect_arrived(layer);
  at::Tensor& sum = gradients_[layer.index()];
  if (!sum.defined()) {
    sum = std::move(gradient);
  } else if (is_exclusive(sum)) {
    sum.add_(gradient);
  } else if (is_exclusive(gradient)) {
    gradient.add_(sum);
    sum = std::move(gradient);
  } else {
    sum = sum.add(gradient);
  }
}

/// Later stages come first, as they do where one stage has all readers.
void MicroBatchPasses::collect_arrived(LayerId layer) {
  if (!graph_->expects_gradient(layer)) return;
  while (true) {
    auto next = arrived_.end();
    for (auto at = arrived_.begin(); at != arrived_.end(); ++at)
      if (at->layer == layer && (next == arrived_.end() || next->reader < at->reader)) next = at;
    if (next == arrived_.end()) return;
    at::Tensor gradient = std::move(next->gradient);
    arrived_.erase(next);
    at::Tensor& sum = gradients_[layer.index()];
    if (!sum.defined())
      sum = std::move(gradient);
    else if (is_exclusive(sum))
      sum.add_(gradient);
    else
      sum = sum.add(gradient);
  }
}

}  // namespace gabra::exec
