// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"
#include "gabra/exec/stage_module.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace gabra::exec {

/// The samples of one micro-batch.
struct MicroBatch {
  std::vector<at::Tensor> inputs;  ///< one per Input layer, [n, shape]; float32, or Long for token ids
  at::Tensor target;               ///< Long; see StageModule::loss()
};

/// Where training data comes from. Every rank asks for the micro-batches that it loads or computes the loss of; all
/// ranks see the same data for the same (step, micro-batch). Called from the device's service thread and from compute.
class BatchSource {
 public:
  BatchSource() = default;
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;
  virtual ~BatchSource() = default;
  [[nodiscard]] virtual std::vector<at::Tensor> inputs(std::int64_t step, std::int64_t micro_batch) = 0;
  [[nodiscard]] virtual at::Tensor target(std::int64_t step, std::int64_t micro_batch) = 0;
};

/// What one step gave on this rank.
struct StepResult {
  double loss = 0.0;                    ///< sum of this rank's Loss instructions, each already divided by M
  std::optional<double> gradient_norm;  ///< with clipping
  std::vector<Timeline::Span> spans;    ///< when recording
};

/// Interprets this rank's part of a Program, step after step, and nothing else.
class Interpreter {
 public:
  struct Parts {
    std::shared_ptr<const Network> network;
    TrainingSettings training;
    Device& device;
    Communicator& communicator;
    BatchSource& batches;
    ModelOptions model;
    at::Tensor class_weights;  ///< may be undefined
  };
  /// `program` must outlive the interpreter. Makes the modules of the stages that this rank holds.
  Interpreter(const Program& program, Parts parts);
  ~Interpreter();

  /// One update: every instruction of this rank. `options.step` is counted from 1; the data's step is options.step - 1.
  StepResult run_step(const UpdateOptions& options);
  /// This rank's modules by stage.
  [[nodiscard]] std::map<StageId, StageModule*> modules();
  [[nodiscard]] const Program& program() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gabra::exec
