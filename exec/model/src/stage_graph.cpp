// SPDX-License-Identifier: MIT
#include "stage_graph.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"

#include <algorithm>
#include <utility>

namespace gabra::exec {
namespace {

struct KernelMaker {
  const KernelParts& parts;

  KernelPointer operator()(const Input& /*layer*/) const { return nullptr; }
  KernelPointer operator()(const Opaque& /*layer*/) const { return nullptr; }
  template <class Kind>
  KernelPointer operator()(const Kind& layer) const {
    return make_kernel(layer, parts);
  }
};

void refuse_opaque(const Network& network) {
  FaultList faults;
  for (const Layer& layer : network.layers())
    if (std::holds_alternative<Opaque>(layer.attributes))
      faults.add(network.name() + ": layer " + in_quotes(layer.name), "kind opaque, which has only costs",
                 "layers that can be computed");
  faults.throw_if_any();
}

}  // namespace

StageGraph::StageGraph(const Network& network, const StageOutline& outline, FlatState& state,
                       const ModelOptions& options)
    : network_(network) {
  refuse_opaque(network);
  const auto layers = network.layers();
  const auto units = network.units();
  first_layer_ = units[static_cast<std::size_t>(outline.units.first)].first.index();
  const std::size_t end = units[static_cast<std::size_t>(outline.units.end) - 1].end.index();
  last_reader_.assign(layers.size(), -1);
  leaves_.assign(layers.size(), false);
  expects_gradient_.assign(layers.size(), false);
  needs_gradient_.assign(layers.size(), false);
  for (std::size_t i = 0; i < layers.size(); ++i)
    needs_gradient_[i] = layers[i].costs.parameters > 0 ||
                         std::any_of(layers[i].inputs.begin(), layers[i].inputs.end(),
                                     [&](LayerId input) { return static_cast<bool>(needs_gradient_[input.index()]); });
  leaves_.back() = end == layers.size();
  for (const UnitTensor& tensor : network.unit_tensors()) {
    const std::size_t layer = tensor.layer.index();
    if (layer < first_layer_ || layer >= end || tensor.consumers.back().value() < outline.units.end) continue;
    leaves_[layer] = true;
    expects_gradient_[layer] = tensor.needs_gradient;
  }
  for (std::size_t i = first_layer_; i < end; ++i) {
    Node node;
    node.output = LayerId(i);
    node.inputs = layers[i].inputs;
    for (const LayerId input : node.inputs) {
      node.wanted.push_back(needs_gradient_[input.index()]);
      last_reader_[input.index()] = static_cast<std::ptrdiff_t>(nodes_.size());
    }
    node.has_backward = needs_gradient_[i];
    const KernelParts parts{network, node.output, state.parameters_of(node.output), state.statistics_of(node.output),
                            state,   options};
    node.kernel = std::visit(KernelMaker{parts}, layers[i].attributes);
    GABRA_CHECK(node.kernel != nullptr, layers[i].name);
    node.kernel->set_wanted(node.wanted);
    nodes_.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (std::holds_alternative<Input>(layers[i].attributes) && last_reader_[i] >= 0)
      network_inputs_.push_back(LayerId(i));
}

std::pair<std::size_t, std::size_t> StageGraph::nodes_of(const UnitRange& range) const {
  const auto units = network_.units();
  const std::size_t first = units[static_cast<std::size_t>(range.first)].first.index();
  const std::size_t end = units[static_cast<std::size_t>(range.end) - 1].end.index();
  const auto node_at = [&](std::size_t layer) {
    const auto found = std::lower_bound(nodes_.begin(), nodes_.end(), layer,
                                        [](const Node& node, std::size_t i) { return node.output.index() < i; });
    return static_cast<std::size_t>(found - nodes_.begin());
  };
  return {node_at(first), node_at(end)};
}

}  // namespace gabra::exec
