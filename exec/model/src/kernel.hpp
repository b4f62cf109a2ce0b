// SPDX-License-Identifier: MIT
#pragma once

#include "flat_state.hpp"
#include "gabra/exec/options.hpp"
#include "gabra/network/network.hpp"

#include <ATen/core/Tensor.h>
#include <c10/util/SmallVector.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gabra::exec {

/// An input of a layer's forward.
struct Operand {
  at::Tensor tensor;
  bool may_overwrite = false;  ///< nothing else reads its memory, now or later
};

/// Which forward this is.
struct ForwardPass {
  PassContext context;
  std::int64_t micro_batch = 0;
};

/// What one layer keeps from forward to backward of one micro-batch.
struct Saved {
  c10::SmallVector<at::Tensor, 5> tensors;
  bool is_training = true;
  std::int64_t implementation = 0;  ///< of batch norm, as LibTorch chose it
};

/// True if no other tensor, view or holder refers to the memory of `tensor`: it may be written over.
[[nodiscard]] bool is_exclusive(const at::Tensor& tensor);

/// Forward and backward of one layer (or of a few fused ones), written out over ATen. Stateless but for parameters;
/// tensors have the micro-batch as first dimension and are contiguous.
class LayerKernel {
 public:
  LayerKernel() = default;
  LayerKernel(const LayerKernel&) = delete;
  LayerKernel& operator=(const LayerKernel&) = delete;
  virtual ~LayerKernel() = default;

  [[nodiscard]] virtual at::Tensor forward(std::span<Operand> inputs, const ForwardPass& pass, Saved& saved) = 0;
  /// Adds to the gradients of parameters and fills `input_gradients` where `wants(i)`. `gradient` may be written over
  /// if it is_exclusive(). The gradients returned may share memory.
  virtual void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) = 0;

  /// Which inputs need a gradient.
  void set_wanted(std::vector<bool> wanted) { wanted_ = std::move(wanted); }

 protected:
  [[nodiscard]] bool wants(std::size_t input = 0) const { return wanted_[input]; }

 private:
  std::vector<bool> wanted_;
};

/// What a kernel is made from.
struct KernelParts {
  const Network& network;
  LayerId layer;
  std::span<Parameter> parameters;  ///< in the order of state_of()
  BatchStatistics* statistics = nullptr;
  const FlatState& state;
  const ModelOptions& options;
};

using KernelPointer = std::unique_ptr<LayerKernel>;

// One factory per kind.
KernelPointer make_kernel(const Convolution& layer, const KernelParts& parts);
KernelPointer make_kernel(const TransposedConvolution& layer, const KernelParts& parts);
KernelPointer make_kernel(const BatchNorm& layer, const KernelParts& parts);
KernelPointer make_kernel(const LayerNorm& layer, const KernelParts& parts);
KernelPointer make_kernel(const Relu& layer, const KernelParts& parts);
KernelPointer make_kernel(const Gelu& layer, const KernelParts& parts);
KernelPointer make_kernel(const MaxPool& layer, const KernelParts& parts);
KernelPointer make_kernel(const AveragePool& layer, const KernelParts& parts);
KernelPointer make_kernel(const AdaptiveAveragePool& layer, const KernelParts& parts);
KernelPointer make_kernel(const Flatten& layer, const KernelParts& parts);
KernelPointer make_kernel(const Linear& layer, const KernelParts& parts);
KernelPointer make_kernel(const Add& layer, const KernelParts& parts);
KernelPointer make_kernel(const Concat& layer, const KernelParts& parts);
KernelPointer make_kernel(const Upsample& layer, const KernelParts& parts);
KernelPointer make_kernel(const PositionAttention& layer, const KernelParts& parts);
KernelPointer make_kernel(const CausalAttention& layer, const KernelParts& parts);
KernelPointer make_kernel(const Embedding& layer, const KernelParts& parts);
KernelPointer make_kernel(const Dropout& layer, const KernelParts& parts);
KernelPointer make_kernel(const Softmax& layer, const KernelParts& parts);

/// Where the classes or channels of the layer's output are, the batch counted: the last dimension of tokens, else 1.
[[nodiscard]] std::int64_t class_dimension(const Network& network, LayerId layer);

}  // namespace gabra::exec
