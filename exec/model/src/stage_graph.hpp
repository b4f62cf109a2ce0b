// SPDX-License-Identifier: MIT
#pragma once

#include "flat_state.hpp"
#include "kernel.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace gabra::exec {

/// A step of a stage's forward: one layer, or several of a unit that are computed together.
struct Node {
  LayerId output;               ///< the (last) layer, whose output it makes
  std::vector<LayerId> inputs;  ///< layers whose outputs it reads
  std::vector<bool> wanted;     ///< parallel to `inputs`: needs a gradient
  bool has_backward = true;     ///< false: neither parameters nor inputs that need a gradient
  KernelPointer kernel;
};

/// What a stage computes, in order, and who reads which tensor. Tensors are named by the layer that makes them.
class StageGraph {
 public:
  /// Throws InputError for opaque layers. `state` must outlive the graph.
  StageGraph(const Network& network, const StageOutline& outline, FlatState& state, const ModelOptions& options);

  [[nodiscard]] std::span<Node> nodes() { return nodes_; }
  /// Nodes of the units of `range`: [first, end).
  [[nodiscard]] std::pair<std::size_t, std::size_t> nodes_of(const UnitRange& range) const;
  [[nodiscard]] bool is_external(LayerId layer) const { return layer.index() < first_layer_; }
  /// The last node of the stage that reads `layer`, or -1.
  [[nodiscard]] std::ptrdiff_t last_reader(LayerId layer) const { return last_reader_[layer.index()]; }
  /// Leaves the stage for a later one, or is the network's output.
  [[nodiscard]] bool leaves(LayerId layer) const { return leaves_[layer.index()]; }
  /// Leaves the stage, and readers outside send gradients.
  [[nodiscard]] bool expects_gradient(LayerId layer) const { return expects_gradient_[layer.index()]; }
  /// Input layers that the stage reads, in order.
  [[nodiscard]] std::span<const LayerId> network_inputs() const { return network_inputs_; }
  [[nodiscard]] bool needs_gradient(LayerId layer) const { return needs_gradient_[layer.index()]; }

 private:
  void find_readers(const StageOutline& outline, std::size_t end);
  void add_node(LayerId layer, FlatState& state, const ModelOptions& options);
  [[nodiscard]] std::vector<LayerId> chain_of(LayerId norm) const;

  const Network& network_;
  std::size_t first_layer_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::ptrdiff_t> last_reader_;  // this and the following by layer of the network
  std::vector<bool> leaves_, expects_gradient_, needs_gradient_;
  std::vector<LayerId> network_inputs_;
  std::vector<UnitId> unit_of_;                // by layer
  std::vector<std::vector<LayerId>> readers_;  // by layer, of the whole network
  std::vector<LayerId> fused_into_;            // by layer: the batch norm that computes it, if any
};

}  // namespace gabra::exec
