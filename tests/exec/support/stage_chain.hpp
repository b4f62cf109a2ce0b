// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/stage_module.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// How a StageChain runs.
struct ChainPlan {
  std::vector<std::int32_t> cuts = {};  ///< first units of the second and later stages, ascending
  bool recomputes = false;
  bool has_segments = false;  ///< backward unit by unit: every unit is a bucket
  Optimizer optimizer = Optimizer::SgdMomentum;
};

/// Stages of a network one after another in this process, without an interpreter: micro-batch by micro-batch forward,
/// loss, backward; then the update.
class StageChain {
 public:
  StageChain(const Network& network, const ChainPlan& plan, const ModelOptions& options);

  /// Returns the sum of the losses, each already divided by the number of micro-batches.
  double step(const std::vector<std::vector<at::Tensor>>& inputs, const std::vector<at::Tensor>& targets,
              const UpdateOptions& options, const at::Tensor& class_weights = {});
  /// Forward and backward only.
  double accumulate(const std::vector<std::vector<at::Tensor>>& inputs, const std::vector<at::Tensor>& targets,
                    std::int64_t step, const at::Tensor& class_weights = {});
  [[nodiscard]] at::Tensor evaluate(const std::vector<at::Tensor>& inputs);
  /// Parameters and buffers by name; views.
  [[nodiscard]] std::map<std::string, at::Tensor> state();
  [[nodiscard]] std::vector<std::unique_ptr<StageModule>>& modules() { return modules_; }

 private:
  void forward(std::int64_t micro_batch, const std::vector<at::Tensor>& inputs, const PassContext& pass, bool keeps);
  void backward(std::int64_t micro_batch, const PassContext& pass);
  [[nodiscard]] std::size_t stage_of(UnitId unit) const;

  const Network& network_;
  ChainPlan plan_;
  std::vector<std::unique_ptr<StageModule>> modules_;
};

}  // namespace gabra::exec
