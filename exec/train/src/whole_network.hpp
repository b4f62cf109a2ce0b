// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/stage_module.hpp"

#include <memory>
#include <vector>

namespace gabra::exec {

/// A network on one device, for its outputs only: evaluation mode, no dropout, running statistics.
class WholeNetwork {
 public:
  WholeNetwork(std::shared_ptr<const Network> network, const ModelOptions& options);

  /// Parameters and running statistics by name; others are passed over. Throws InputError naming `place` when one is
  /// missing.
  void load(const std::vector<NamedTensor>& tensors, const std::string& place);

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
