// SPDX-License-Identifier: MIT
#include "stage_graph.hpp"

#include "batch_norm_cpu.hpp"
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
  find_readers(outline, end);
  fused_into_.resize(layers.size());
  // A chain is computed where its last layer stands: all of its inputs are there by then.
  std::vector<bool> waits(layers.size(), false);
  for (std::size_t i = first_layer_; i < end && has_batch_norm_on_cpu(options); ++i) {
    if (!std::holds_alternative<BatchNorm>(layers[i].attributes)) continue;
    std::size_t last = i;
    for (const LayerId follower : chain_of(LayerId(i))) {
      fused_into_[follower.index()] = LayerId(i);
      waits[std::exchange(last, follower.index())] = true;
    }
  }
  for (std::size_t i = first_layer_; i < end; ++i)
    if (!waits[i]) add_node(LayerId(i), state, options);
  last_reader_.assign(layers.size(), -1);
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    for (const LayerId input : nodes_[n].inputs) last_reader_[input.index()] = static_cast<std::ptrdiff_t>(n);
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (std::holds_alternative<Input>(layers[i].attributes) && last_reader_[i] >= 0) network_inputs_.emplace_back(i);
}

void StageGraph::find_readers(const StageOutline& outline, std::size_t end) {
  const auto layers = network_.layers();
  readers_.resize(layers.size());
  unit_of_.resize(layers.size());
  leaves_.assign(layers.size(), false);
  expects_gradient_.assign(layers.size(), false);
  needs_gradient_.assign(layers.size(), false);
  for (std::size_t u = 0; u < network_.units().size(); ++u)
    for (std::size_t i = network_.units()[u].first.index(); i < network_.units()[u].end.index(); ++i)
      unit_of_[i] = UnitId(u);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    needs_gradient_[i] = layers[i].costs.parameters > 0;
    for (const LayerId input : layers[i].inputs) {
      if (needs_gradient_[input.index()]) needs_gradient_[i] = true;
      readers_[input.index()].push_back(LayerId(i));
    }
  }
  leaves_.back() = end == layers.size();
  for (const UnitTensor& tensor : network_.unit_tensors()) {
    const std::size_t layer = tensor.layer.index();
    if (layer < first_layer_ || layer >= end || tensor.consumers.back().value() < outline.units.end) continue;
    leaves_[layer] = true;
    expects_gradient_[layer] = tensor.needs_gradient;
  }
}

/// ReLU, or addition and ReLU, that alone read what comes before them, in the unit of the batch norm (so that fusing
/// does not depend on a plan's cuts).
std::vector<LayerId> StageGraph::chain_of(LayerId norm) const {
  const auto only_reader = [&](LayerId layer) {
    const std::vector<LayerId>& readers = readers_[layer.index()];
    return readers.size() == 1 && unit_of_[readers[0].index()] == unit_of_[layer.index()] ? readers[0] : LayerId();
  };
  const LayerId next = only_reader(norm);
  if (!next.is_valid()) return {};
  const Layer& follower = network_.layer(next);
  if (std::holds_alternative<Relu>(follower.attributes)) return {next};
  if (!std::holds_alternative<Add>(follower.attributes) || follower.inputs.size() != 2) return {};
  if (fused_into_[next.index()].is_valid()) return {};  // the other input is a batch norm too and has it
  const LayerId last = only_reader(next);
  if (!last.is_valid() || !std::holds_alternative<Relu>(network_.layer(last).attributes)) return {};
  return {next, last};
}

void StageGraph::add_node(LayerId layer, FlatState& state, const ModelOptions& options) {
  Node node;
  node.output = layer;
  const LayerId norm = fused_into_[layer.index()];
  const LayerId maker = norm.is_valid() ? norm : layer;
  node.inputs = network_.layer(maker).inputs;
  const KernelParts parts{network_, maker, state.parameters_of(maker), state.statistics_of(maker), state, options};
  if (norm.is_valid()) {
    const LayerId next = readers_[norm.index()][0];
    const Layer& follower = network_.layer(next);
    const bool has_residual = next != layer;
    if (has_residual) node.inputs.push_back(follower.inputs[0] == norm ? follower.inputs[1] : follower.inputs[0]);
    node.kernel = make_batch_norm_on_cpu(std::get<BatchNorm>(network_.layer(norm).attributes), parts,
                                         {.has_residual = has_residual, .has_relu = true});
  } else {
    node.kernel = std::visit(KernelMaker{parts}, network_.layer(layer).attributes);
  }
  GABRA_CHECK(node.kernel != nullptr, network_.layer(layer).name);
  for (const LayerId input : node.inputs) node.wanted.push_back(needs_gradient_[input.index()]);
  node.has_backward = needs_gradient_[layer.index()];
  node.kernel->set_wanted(node.wanted);
  nodes_.push_back(std::move(node));
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
