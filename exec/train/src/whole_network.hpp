// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/stage_module.hpp"

#include <memory>
#include <vector>

namespace gabra::exec {

/// A network on one device, for its outputs only: evaluation mode, no dropout, running statistics. It has no memory but
/// for weights, running statistics and the tensors of a pass.
class WholeNetwork {
 public:
  /// All weights are zero until load(), or until state() is written to.
  WholeNetwork(std::shared_ptr<const Network> network, ModelOptions options);

  /// Parameters and running statistics by name; others are passed over. Throws InputError naming `place` when one is
  /// missing.
  void load(const std::vector<NamedTensor>& tensors, const std::string& place);

  /// Its parameters and running statistics, in the order of model_state(); views that may be written to.
  [[nodiscard]] std::vector<NamedTensor> state();

  /// The network's output for inputs [n, shape], on the CPU in float64.
  [[nodiscard]] at::Tensor output(std::vector<at::Tensor> inputs);
  /// Softmax over the classes of output(), for a network whose output is [classes]: [n, classes].
  [[nodiscard]] at::Tensor probabilities(std::vector<at::Tensor> inputs);

 private:
  std::shared_ptr<const Network> network_;
  c10::Device device_;
  std::unique_ptr<StageModule> module_;
};

/// Copies `given` tensors into those of a module, by name. Throws InputError naming `place`.
void load_module(StageModule& module, const std::vector<NamedTensor>& given, const std::string& place);

}  // namespace gabra::exec
