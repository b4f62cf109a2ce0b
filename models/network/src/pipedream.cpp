// SPDX-License-Identifier: MIT
#include "builder.hpp"
#include "gabra/network/network_file.hpp"
#include "limits.hpp"
#include "pipedream_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra {
namespace {

/// Marks the nodes that are no layers: inputs, whose times are data loading; nodes that carry nothing from them (no
/// time, bytes or parameters, such as an absent hidden state); and parts of a result that nobody reads.
std::vector<bool> find_dropped(const PipedreamGraph& graph) {
  std::vector<bool> dropped(graph.nodes.size(), false);
  std::vector<std::size_t> live_inputs, live_readers, pending;
  const auto is_droppable = [&](std::size_t i) {
    const PipedreamNode& node = graph.nodes[i];
    const bool is_idle = node.forward_ms == 0 && node.backward_ms == 0 && node.parameter_bytes == 0;
    const bool carries_nothing = is_idle && node.activation_bytes == 0 && live_inputs[i] == 0;
    const bool is_unread_part = is_idle && live_readers[i] == 0 && node.description.starts_with("__getitem__");
    return node.description.starts_with("Input") || carries_nothing || is_unread_part;
  };
  const auto consider = [&](std::size_t i) {
    if (dropped[i] || !is_droppable(i)) return;
    dropped[i] = true;
    pending.push_back(i);
  };
  for (const PipedreamNode& node : graph.nodes) {
    live_inputs.push_back(node.inputs.size());
    live_readers.push_back(node.readers.size());
  }
  for (std::size_t i = 0; i < dropped.size(); ++i) consider(i);
  while (!pending.empty()) {
    const PipedreamNode& node = graph.nodes[pending.back()];
    pending.pop_back();
    for (const std::size_t reader : node.readers) --live_inputs[reader];
    for (const std::size_t input : node.inputs) --live_readers[input];
    for (const std::size_t reader : node.readers) consider(reader);
    for (const std::size_t input : node.inputs) consider(input);
  }
  return dropped;
}

/// Views, and ReLUs that write over their inputs, keep no memory of their own.
bool keeps_output(const std::string& description) {
  for (const std::string_view kind : {"ReLU(inplace", "__getitem__", "View"})
    if (description.starts_with(kind)) return false;
  return true;
}

Opaque make_opaque(const PipedreamNode& node, std::int64_t batch) {
  Opaque opaque;
  opaque.description = node.description;
  opaque.output_bytes = std::llround(std::ceil(node.activation_bytes / static_cast<double>(batch)));
  opaque.parameter_bytes = std::llround(node.parameter_bytes);
  opaque.saved_bytes = keeps_output(node.description) ? opaque.output_bytes : 0;
  opaque.batch = batch;
  opaque.forward = Seconds(node.forward_ms / 1e3);
  opaque.backward = Seconds(node.backward_ms / 1e3);
  return opaque;
}

}  // namespace

Network parse_pipedream_profile(std::string_view text, const std::string& name, std::optional<std::int64_t> batch) {
  constexpr std::int64_t kUsualBatch = 64;
  FaultList faults;
  const PipedreamGraph graph = read_pipedream_graph(text, name, faults);
  const std::int64_t samples = batch ? *batch : implied_batch(graph).value_or(kUsualBatch);
  const std::vector<bool> dropped = find_dropped(graph);
  NetworkDraft draft;
  std::vector<std::size_t> lines;
  std::vector<std::string> outputs;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (dropped[i]) continue;
    const PipedreamNode& node = graph.nodes[i];
    LayerSpec layer{node.name, make_opaque(node, samples), {}};
    for (const std::size_t input : node.inputs)
      if (!dropped[input]) layer.inputs.push_back(graph.nodes[input].name);
    draft.layers.push_back(std::move(layer));
    lines.push_back(node.line);
    const auto is_dropped = [&](std::size_t other) { return dropped[other]; };
    if (std::all_of(node.readers.begin(), node.readers.end(), is_dropped)) outputs.push_back(node.name);
  }
  if (outputs.size() > 1) {  // a network has one output: the losses of all of them, added up
    Opaque joined;
    joined.description = "all outputs";
    draft.layers.push_back({"outputs", joined, std::move(outputs)});
    lines.push_back(lines.back());
  }
  draft.name = name;
  draft.is_broken.assign(draft.layers.size(), false);
  draft.place = name;
  draft.layer_place = [&](std::size_t layer, std::string_view) {
    return fmt::format("{}: line {}", name, lines[layer]);
  };
  return NetworkBuilder(std::move(draft), faults).build();
}

}  // namespace gabra
