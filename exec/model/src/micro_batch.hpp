// SPDX-License-Identifier: MIT
#pragma once

#include "kernel.hpp"
#include "stage_graph.hpp"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace gabra::exec {

/// Forward and backward of one micro-batch through a stage, and the tensors in between. Each tensor is dropped at its
/// last use.
class MicroBatchPasses {
 public:
  /// `between_layers` (may be empty) is called after every layer; it outlives this.
  MicroBatchPasses(StageGraph& graph, std::size_t layers, const std::function<void(LayerId)>& between_layers);

  /// An input of the stage.
  void put_value(LayerId layer, at::Tensor value) { values_[layer.index()] = std::move(value); }
  /// Without `keeps` only the stage's inputs stay (in training, for recompute()).
  void forward(const ForwardPass& pass, bool keeps);
  /// forward() again, for backward; makes no outputs.
  void recompute(const ForwardPass& pass);
  [[nodiscard]] at::Tensor output(LayerId layer) const { return outputs_[layer.index()]; }
  at::Tensor take_output(LayerId layer) { return std::move(outputs_[layer.index()]); }

  void put_output_gradient(LayerId layer, at::Tensor value) { gradients_[layer.index()] = std::move(value); }
  void put_gradient(LayerId layer, StageId reader, at::Tensor value);
  /// Of nodes [first, end), the last first.
  void backward(std::size_t first, std::size_t end);
  at::Tensor take_gradient(LayerId layer) { return std::move(gradients_[layer.index()]); }

 private:
  struct Rule {
    bool keeps = true;          ///< what backward needs
    bool drops_inputs = true;   ///< of the stage, at their last use
    bool makes_outputs = true;  ///< for other stages
  };
  struct Arrived {
    LayerId layer;
    StageId reader;
    at::Tensor gradient;
  };

  void run(const ForwardPass& pass, Rule rule);
  void fill_operands(std::size_t node, Rule rule);
  void accumulate(LayerId layer, at::Tensor gradient);
  void collect_arrived(LayerId layer);

  StageGraph* graph_;
  const std::function<void(LayerId)>* between_layers_;
  std::vector<at::Tensor> values_, outputs_, gradients_;  // by layer
  std::vector<Saved> saved_;                              // by node
  std::vector<Arrived> arrived_;
  std::vector<Operand> operands_;
  std::vector<at::Tensor> input_gradients_;
};

}  // namespace gabra::exec
