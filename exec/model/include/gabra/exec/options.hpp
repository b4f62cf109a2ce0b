// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>

namespace gabra::exec {

/// How a model is made and computed. Weights are kept in `dtype`: Float, BFloat16 (with a float32 master copy in the
/// optimizer's state) or Double (tests).
struct ModelOptions {
  c10::ScalarType dtype = c10::ScalarType::Float;
  c10::Device device{c10::DeviceType::CPU};
  /// Of the initial weights (keyed by parameter name, so any plan starts alike) and of dropout.
  std::uint64_t seed = 0;
  /// Gradients, and what batch norm adds to its running statistics, are added up in float64 (BFloat16: gradients in
  /// float32): see GradientSum::Wide. An Interpreter sets it by its TrainingSettings.
  bool sums_wide = false;
  /// Weights (zero until they are written to) and running statistics alone: no gradients, no optimizer's state.
  /// forward() in evaluation mode is all that such a module does.
  bool only_outputs = false;
  /// Called after every layer (of layers that are computed together: with the last) of a forward or backward, in the
  /// thread that computes: a chance to look after transfers.
  std::function<void(LayerId)> between_layers{};
};

/// What one update does, beyond what the plan fixes (which optimizer, clipping).
struct UpdateOptions {
  double learning_rate = 1e-3;
  double momentum = 0.9;  ///< SGD: v = momentum v + g; w = w - learning_rate v (PyTorch's rule; dampening 0)
  double beta1 = 0.9;     ///< AdamW
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  ///< SGD: added to the gradient; AdamW: decoupled
  std::int64_t step = 1;      ///< counted from 1: AdamW's bias correction
};

/// Which pass over which samples: keys of dropout.
struct PassContext {
  std::int64_t step = 0;           ///< of the whole training, counted from 0
  std::int64_t first_sample = 0;   ///< of the micro-batch, within the global batch
  bool is_training = true;         ///< false: batch norm uses running statistics, dropout does nothing
  bool updates_statistics = true;  ///< false in a recomputation
};

}  // namespace gabra::exec
