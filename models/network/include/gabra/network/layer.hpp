// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/compute_class.hpp"
#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/network/shape.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gabra {

// Layer kinds and their attributes. Names and defaults follow PyTorch's modules. `kernel`, `stride`, `padding` and
// `dilation` have one number per spatial dimension.

/// Source of the network: images or token ids.
struct Input {
  Shape shape;
  bool is_token_ids = false;
};
struct Convolution {
  std::int64_t out_channels = 0;
  std::vector<std::int64_t> kernel, stride, padding, dilation;
  std::int64_t groups = 1;
  bool bias = true;
};
struct TransposedConvolution {
  std::int64_t out_channels = 0;
  std::vector<std::int64_t> kernel, stride, padding;
  bool bias = true;
};
/// Over channels; statistics of the micro-batch, running statistics kept with `momentum`.
struct BatchNorm {
  double epsilon = 1e-5;
  double momentum = 0.1;
};
struct LayerNorm {
  double epsilon = 1e-5;
};
struct Relu {};
struct Gelu {};
struct MaxPool {
  std::vector<std::int64_t> kernel, stride, padding;
};
struct AveragePool {
  std::vector<std::int64_t> kernel, stride, padding;
};
/// Mean over equal-as-possible windows so that the spatial output is `output` (all ones: global average pooling).
struct AdaptiveAveragePool {
  std::vector<std::int64_t> output;
};
struct Flatten {};
/// On the last dimension of [features] or [tokens, features].
struct Linear {
  std::int64_t out_features = 0;
  bool bias = true;
};
/// Sum of two or more inputs of one shape.
struct Add {};
/// Concatenation of two or more inputs along the channels.
struct Concat {};
/// Nearest-neighbour enlargement of every spatial dimension by a whole factor.
struct Upsample {
  std::int64_t factor = 2;
};
/// 3D-ResAttNet's self-attention over positions: query and key 1x1x1 convolutions to channels/reduction, value to
/// channels (all with bias), softmax, output = gamma x attention + input, gamma starts at 0.
struct PositionAttention {
  std::int64_t reduction = 8;
};
/// Multi-head causal self-attention of a transformer on [tokens, features]: qkv and output projections with bias.
struct CausalAttention {
  std::int64_t heads = 1;
};
/// Token and learned position embedding, [tokens] -> [tokens, features]; dropout belongs to a layer of its own.
struct Embedding {
  std::int64_t vocabulary = 0;
  std::int64_t features = 0;
  std::int64_t positions = 0;
};
struct Dropout {
  double probability = 0.5;
};
struct Softmax {};
/// Costs only: can be simulated, not run. Everything is per sample; times were measured at `batch` samples.
struct Opaque {
  std::string description;
  std::int64_t output_bytes = 0;
  std::int64_t parameter_bytes = 0;
  std::int64_t saved_bytes = 0;
  std::int64_t batch = 1;
  Seconds forward;   ///< for `batch` samples
  Seconds backward;  ///< for `batch` samples
};

using LayerAttributes = std::variant<Input, Convolution, TransposedConvolution, BatchNorm, LayerNorm, Relu, Gelu,
                                     MaxPool, AveragePool, AdaptiveAveragePool, Flatten, Linear, Add, Concat, Upsample,
                                     PositionAttention, CausalAttention, Embedding, Dropout, Softmax, Opaque>;

/// What a library copies of a convolution's operands while it computes: little (cuDNN in float32); all, into a layout
/// of its own (cuDNN in bfloat16); all, with channels padded to a multiple of 16 (oneDNN); or that in float32, where
/// weights are bfloat16, in a backward (gabra on CPUs).
enum class OperandCopies : std::uint8_t { Few, All, Padded, Widened };
inline constexpr std::size_t kOperandCopies = 4;
/// Elements by OperandCopies.
using ByOperandCopies = std::array<std::int64_t, kOperandCopies>;

/// Costs of a layer for one sample, derived from its kind and shapes by the layer's own rule (costs.cpp states each).
/// Elements are numbers in the plan's precision; multiply by bytes_per_element().
struct LayerCosts {
  Flops forward_flops;
  Flops backward_flops;               ///< input and weight gradients; no input gradient for the network's first layers
  std::int64_t forward_elements = 0;  ///< read and written to memory by a forward pass, weights left out
  std::int64_t backward_elements = 0;
  std::int64_t output_elements = 0;
  std::int64_t parameters = 0;  ///< trainable
  std::int64_t buffers = 0;     ///< running statistics, always float32
  /// Kept from forward to backward besides inputs and outputs, e.g. the attention matrix.
  std::int64_t saved_internal_elements = 0;
  std::int64_t saved_internal_bytes = 0;  ///< the same, of fixed size: indices of max pooling, masks of dropout
  bool saves_input = false;               ///< backward needs the layer's inputs
  bool saves_output = false;              ///< backward needs the layer's output
  bool is_in_place = false;               ///< writes its output over its input's memory
  std::int64_t workspace_elements = 0;    ///< alive only while the layer computes
  /// As workspace_elements, of convolutions: what the library copies of their operands, in each pass.
  ByOperandCopies forward_copies{}, backward_copies{};
  /// Copies of weights and of their gradient in the library's own layout, alive only while the layer computes, however
  /// many samples there are.
  std::int64_t forward_copy_elements = 0;
  std::int64_t backward_copy_elements = 0;
  std::int64_t widened_copy_elements = 0;  ///< of a backward with OperandCopies::Widened
  /// Independent rows of the layer's product for one sample (output positions, tokens): efficiency saturates with them.
  double rows = 1.0;
  int forward_kernels = 1;  ///< device operations launched by the host
  int backward_kernels = 1;
  ComputeClass compute_class = ComputeClass::Elementwise;
  /// Opaque layers only: measured seconds for one sample, used in place of the device's model.
  std::optional<Seconds> measured_forward;
  std::optional<Seconds> measured_backward;
};

/// One operation of a network. `inputs` are earlier layers.
struct Layer {
  std::string name;  ///< unique in the network; parameters are called name.weight and so on
  LayerAttributes attributes;
  std::vector<LayerId> inputs;
  Shape output;      ///< derived
  LayerCosts costs;  ///< derived
};

/// The kind as written in files: "convolution", "batch_norm", ...
[[nodiscard]] std::string_view kind_name(const LayerAttributes& attributes);

}  // namespace gabra
