// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// A line "node7 -- LSTM(2048, 1024) -- forward_compute_time=3.190, ..., activation_size=[6291456.0; 131072.0], ...".
/// Sizes are bytes for the whole batch.
struct PipedreamNode {
  std::string name;
  std::int64_t number = 0;
  std::string description;
  double forward_ms = 0, backward_ms = 0;
  double activation_bytes = 0;  ///< of all parts together
  std::vector<double> activation_parts;
  double parameter_bytes = 0;
  std::vector<std::size_t> inputs, readers;  ///< positions in PipedreamGraph::nodes, in the order of the edges
  std::size_t line = 0;
};

/// Nodes ascending by number.
struct PipedreamGraph {
  std::vector<PipedreamNode> nodes;
};

/// Malformed lines, nodes and edges twice, edges to nowhere go to `faults` with their line.
[[nodiscard]] PipedreamGraph read_pipedream_graph(std::string_view text, const std::string& name, FaultList& faults);

/// The batch size of the measurement, which the files do not state but imply. In this order: the hidden state of an
/// LSTM(I, H) has 4 H bytes a sample; a linear layer's output 4 x out_features; an input image 4 x 3 x 224^2 or 299^2.
[[nodiscard]] std::optional<std::int64_t> implied_batch(const PipedreamGraph& graph);

}  // namespace gabra
