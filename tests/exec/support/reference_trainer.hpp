// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/options.hpp"
#include "gabra/exec/stage_module.hpp"
#include "gabra/network/network.hpp"
#include "gabra/plan/problem.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// What every plan must agree with: training of a network in one process by LibTorch's autograd, written without the
/// executor. Micro-batches one after another, gradients summed, running statistics updated after each, one update.
/// float32 or float64 on the CPU. Starts from StageModule's initial weights, the only thing taken from the executor
/// but for the masks of dropout.
class ReferenceTrainer {
 public:
  /// `class_weights` may be undefined: all ones.
  ReferenceTrainer(std::shared_ptr<const Network> network, const ModelOptions& options,
                   const TrainingSettings& training, at::Tensor class_weights = {});

  /// One update. `inputs[m]` has a tensor for every Input layer, `targets[m]` is Long (see StageModule::loss()).
  /// Returns the mean loss over the micro-batches. `options.step` is counted from 1.
  double step(const std::vector<std::vector<at::Tensor>>& inputs, const std::vector<at::Tensor>& targets,
              const UpdateOptions& options);
  /// Another value of a parameter or buffer.
  void set(const std::string& name, const at::Tensor& value);
  /// The network's output with running statistics and without dropout.
  [[nodiscard]] at::Tensor evaluate(const std::vector<at::Tensor>& inputs);
  /// Parameters and buffers in the order of model_state(); copies.
  [[nodiscard]] std::vector<NamedTensor> state() const;
  /// Gradients of the last step's sum before clipping, by parameter name.
  [[nodiscard]] const std::map<std::string, at::Tensor>& gradients() const { return gradients_; }
  [[nodiscard]] double gradient_norm() const { return gradient_norm_; }

 private:
  at::Tensor pass(const std::vector<at::Tensor>& inputs, const PassContext& context);
  void update(const UpdateOptions& options);

  std::shared_ptr<const Network> network_;
  ModelOptions options_;
  TrainingSettings training_;
  at::Tensor class_weights_;
  std::map<std::string, at::Tensor> tensors_;  ///< parameters (leaves) and buffers
  std::vector<StateEntry> entries_;
  std::map<std::string, at::Tensor> first_, second_;  ///< momentum; moments
  std::map<std::string, at::Tensor> gradients_;
  double gradient_norm_ = 0.0;
};

}  // namespace gabra::exec
