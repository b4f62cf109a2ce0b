// SPDX-License-Identifier: MIT
#include "costs.hpp"

#include "is_any_of.hpp"
#include "limits.hpp"

#include <fmt/format.h>

#include <algorithm>

// The rule of every kind, for one sample. I and O are the elements of the (first) input and of the output; "moved" are
// the elements that pass between a device's memory and its arithmetic units, weights left out. A multiply-add is two
// operations. What is saved for backward follows PyTorch's autograd. In the backward column a layer whose inputs need
// no gradient leaves out the input's share. Where PyTorch splits a layer into several kernels we count what its CUDA
// backend launches; these counts, and the operations per element of the elementwise kinds, are our own.
//
//  kind                   forward flops                 backward flops      forward moved    backward moved     saved
//  convolution            2 Cin/g K O (+ O bias)        2 x (1 x) forward   I + O            2 I + 2 O (I + O)  input
//                         workspace: input and output (or its gradient) in the library's layout, I + O (half as much
//                         in float32 on a GPU: no copies, but what cuDNN's algorithms take; fits the peaks that its
//                         allocator reported for five networks on an H100);
//                         weights copied into the library's layout: one copy in the forward, and in the backward one
//                         and the gradient before it is added (measured with the oneDNN of LibTorch 2.11)
//  transposed_convolution 2 Cout K I (+ O bias)         2 x (1 x) forward   I + O            2 I + 2 O (I + O)  input
//  batch_norm             7 O (3 statistics, 4 scale)   10 O                3 O              5 O                input
//  layer_norm             7 O                           10 O                2 O              3 O                input,
//                                                                           mean and scale of each token as float32
//  relu                   O                             O                   2 O              3 O                output
//  gelu                   8 O                           14 O                2 O              3 O                input
//  softmax                5 O                           4 O                 2 O              3 O                output
//  dropout                2 O                           O                   2 O              2 O                mask, 1
//  B max_pool               K O                           O                   I + 3 O          I + 3 O input,
//                                                                           index of each output, 8 B
//  average_pool           K O                           K O                 I + O            I + O              input
//  adaptive_average_pool  I                             I                   I + O            I + O              input,
//                                                                           nothing where it is a global mean
//  flatten                0 (a view)                    0                   0                0                  nothing
//  linear                 2 I F (+ O bias)              2 x (1 x) forward   I + O            2 I + 2 O (I + O)  input
//                         of class embedding where it projects tokens onto a vocabulary
//  add of n               (n-1) O                       0                   3 (n-1) O        0                  nothing
//  concat                 0                             0                   2 O              2 O                nothing
//  upsample               0                             O                   I + O            I + O              nothing
//  embedding              O                             2 O                 4 O              3 O                input
//  position_attention     C = channels, N = positions, d = C / reduction; P = 2 (2 d C N + C^2 N) + 2 d N^2 + 2 C N^2
//                         P + (2 d + C) N bias + 5 N^2 softmax + 2 C N;  backward 2 P + 4 N^2 + 7 C N
//                         moved 11 CN + 4 dN + 4 N^2;  backward 25 CN + 8 dN + 7 N^2
//                         saved: input, q, k, v, the attention matrix and its product: (2 d + 2 C) N + N^2
//                         workspace: the matrix's gradient before and after softmax, 2 N^2
//  causal_attention       T = tokens, F = features, h = heads; P = 8 T F^2 + 4 T^2 F (the whole matrix, then masked)
//                         P + 4 T F bias + 7 h T^2 softmax, scale and mask;  backward 2 P + 6 h T^2
//                         moved 10 TF + 8 h T^2;  backward 20 TF + 9 h T^2
//                         saved: input, q, k, v, a matrix per head, context: 4 TF + h T^2;
//                         workspace 2 h T^2 and the gradients of q, k, v and context, 4 TF
//  opaque                 measured times                                    nothing known                       as
//  stated
//
// A tensor read by k > 1 layers has its gradients added up: k - 1 additions, charged to the layer that makes it.

namespace gabra {
namespace {

/// A linear layer on tokens with at least so many times as many outputs as inputs is a projection onto a vocabulary.
/// Own choice: inside a transformer block the ratio is 3 or 4.
constexpr std::int64_t kVocabularyRatio = 8;

constexpr std::int64_t kFewChannels = 4;  // a network's input, which oneDNN reads as it is
constexpr std::int64_t kWidening = 2;     // float32 in place of bfloat16

double real(std::int64_t value) { return static_cast<double>(value); }

class CostRules {
 public:
  CostRules(const CostContext& context, LayerFaults& faults)
      : context_(context),
        faults_(faults),
        in_(context.inputs.empty() ? 0 : element_count(context.inputs[0])),
        out_(element_count(context.output)) {}

  LayerCosts rule(const Input&) {
    LayerCosts costs = moving(0, 0);
    costs.forward_kernels = costs.backward_kernels = 0;
    return costs;
  }
  LayerCosts rule(const Convolution& a) {
    const std::int64_t fan_in = bounded({product(a.kernel), input()[0] / a.groups});
    LayerCosts costs = product_layer(2.0 * real(fan_in) * real(out_), a.bias);
    costs.parameters = bounded({a.out_channels, fan_in}) + (a.bias ? a.out_channels : 0);
    copy_weights(costs, bounded({a.out_channels, fan_in}));
    const bool is_read_as_it_is = input()[0] <= kFewChannels;
    const bool pads = a.out_channels % 8 != 0 || (input()[0] % 8 != 0 && !is_read_as_it_is);
    const std::int64_t padded =
        pads ? (is_read_as_it_is ? in_ : in_blocks(in_, input()[0])) + in_blocks(out_, a.out_channels) : in_ + out_;
    costs.forward_copies = {(in_ + out_) / 2, in_ + out_, padded, padded};
    costs.backward_copies = {(in_ + out_) / 2, in_ + out_, padded, kWidening * (in_ + out_ + padded)};
    costs.widened_copy_elements = bounded({costs.backward_copy_elements, kWidening});
    costs.rows = real(out_ / a.out_channels);
    costs.compute_class = ComputeClass::Convolution;
    return costs;
  }
  LayerCosts rule(const TransposedConvolution& a) {
    const std::int64_t fan_out = bounded({product(a.kernel), a.out_channels});
    LayerCosts costs = product_layer(2.0 * real(fan_out) * real(in_), a.bias);
    costs.parameters = bounded({input()[0], fan_out}) + (a.bias ? a.out_channels : 0);
    copy_weights(costs, bounded({input()[0], fan_out}));
    // As measured with oneDNN (bottom.enlarge and up1.enlarge of unet-3d): 2 and 1 to 1.3 times the output.
    costs.forward_copies = {0, 0, 2 * out_, 2 * out_};
    costs.backward_copies = {0, 0, out_ + out_ / 4, out_ + out_ / 4};
    costs.rows = real(in_ / input()[0]);
    costs.compute_class = ComputeClass::Convolution;
    return costs;
  }
  LayerCosts rule(const BatchNorm&) {
    LayerCosts costs = simple(7, 10, moving(3 * out_, 5 * out_));
    costs.parameters = costs.buffers = 2 * input()[0];
    costs.saves_input = true;
    costs.forward_kernels = 2;
    costs.compute_class = ComputeClass::Normalization;
    return costs;
  }
  LayerCosts rule(const LayerNorm&) {
    LayerCosts costs = simple(7, 10, moving(2 * out_, 3 * out_));
    costs.parameters = 2 * input().back();
    costs.saves_input = true;
    costs.saved_internal_bytes = 8 * (out_ / input().back());
    costs.rows = real(out_ / input().back());
    costs.backward_kernels = 2;
    costs.compute_class = ComputeClass::Normalization;
    return costs;
  }
  LayerCosts rule(const Relu&) {
    LayerCosts costs = simple(1, 1, moving(2 * out_, 3 * out_));
    costs.saves_output = true;
    return costs;
  }
  LayerCosts rule(const Gelu&) {
    LayerCosts costs = simple(8, 14, moving(2 * out_, 3 * out_));
    costs.saves_input = true;
    return costs;
  }
  LayerCosts rule(const Softmax&) {
    LayerCosts costs = simple(5, 4, moving(2 * out_, 3 * out_));
    costs.saves_output = true;
    costs.compute_class = ComputeClass::Normalization;
    return costs;
  }
  LayerCosts rule(const Dropout&) {
    LayerCosts costs = simple(2, 1, moving(2 * out_, 2 * out_));
    costs.saved_internal_bytes = out_;
    return costs;
  }
  LayerCosts rule(const MaxPool& a) {
    LayerCosts costs = simple(real(product(a.kernel)), 1, moving(in_ + 3 * out_, in_ + 3 * out_));
    costs.saves_input = true;
    costs.saved_internal_bytes = 8 * out_;
    costs.backward_kernels = 2;
    costs.compute_class = ComputeClass::Pooling;
    return costs;
  }
  LayerCosts rule(const AveragePool& a) {
    const double window = real(product(a.kernel));
    LayerCosts costs = simple(window, window, moving(in_ + out_, in_ + out_));
    costs.saves_input = true;
    costs.compute_class = ComputeClass::Pooling;
    return costs;
  }
  LayerCosts rule(const AdaptiveAveragePool& a) {
    LayerCosts costs = moving(in_ + out_, in_ + out_);
    costs.forward_flops = costs.backward_flops = Flops(real(in_));
    costs.saves_input = std::any_of(a.output.begin(), a.output.end(), [](std::int64_t extent) { return extent != 1; });
    costs.compute_class = ComputeClass::Pooling;
    return costs;
  }
  LayerCosts rule(const Flatten&) {
    LayerCosts costs = moving(0, 0);
    costs.forward_kernels = costs.backward_kernels = 0;
    return costs;
  }
  LayerCosts rule(const Linear& a) {
    const std::int64_t features = input().back();
    LayerCosts costs = product_layer(2.0 * real(features) * real(out_), a.bias);
    costs.parameters = bounded({features, a.out_features}) + (a.bias ? a.out_features : 0);
    costs.rows = real(out_ / a.out_features);
    costs.forward_kernels = 1;  // the bias is part of the product's call
    costs.compute_class = is_onto_vocabulary(a) ? ComputeClass::Embedding : ComputeClass::MatrixProduct;
    return costs;
  }
  LayerCosts rule(const Add&) {
    const auto additions = static_cast<std::int64_t>(context_.inputs.size()) - 1;
    LayerCosts costs = simple(real(additions), 0, moving(3 * additions * out_, 0));
    costs.forward_kernels = static_cast<int>(additions);
    costs.backward_kernels = 0;
    return costs;
  }
  LayerCosts rule(const Concat&) {
    LayerCosts costs = moving(2 * out_, 2 * out_);
    costs.backward_kernels = static_cast<int>(context_.inputs.size());
    return costs;
  }
  LayerCosts rule(const Upsample&) { return simple(0, 1, moving(in_ + out_, in_ + out_)); }
  LayerCosts rule(const PositionAttention& a);
  LayerCosts rule(const CausalAttention& a);
  LayerCosts rule(const Embedding& a) {
    LayerCosts costs = simple(1, 2, moving(4 * out_, 3 * out_));
    costs.parameters = bounded({a.vocabulary, a.features}) + bounded({a.positions, a.features});
    costs.saves_input = true;
    costs.rows = real(input()[0]);
    costs.forward_kernels = 3;
    costs.backward_kernels = 4;
    costs.compute_class = ComputeClass::Embedding;
    return costs;
  }
  LayerCosts rule(const Opaque& a) {
    LayerCosts costs = moving(0, 0);
    costs.parameters = (a.parameter_bytes + 3) / 4;
    costs.saved_internal_bytes = a.saved_bytes;
    costs.measured_forward = a.forward / real(a.batch);
    costs.measured_backward = a.backward / real(a.batch);
    return costs;
  }

 private:
  [[nodiscard]] const Shape& input() const { return context_.inputs[0]; }
  /// A product of tokens with a table of words, which libraries run at a rate of its own.
  [[nodiscard]] bool is_onto_vocabulary(const Linear& a) const {
    return input().size() == 2 && a.out_features >= kVocabularyRatio * input().back();
  }
  std::int64_t bounded(std::initializer_list<std::int64_t> factors) {
    const auto result = bounded_product(factors);
    if (!result) faults_.add("", "a layer that is too large", fmt::format("at most {} elements", kMostElements));
    return result.value_or(0);
  }
  std::int64_t product(const std::vector<std::int64_t>& factors) {
    std::int64_t result = 1;
    for (const std::int64_t factor : factors) result = bounded({result, factor});
    return result;
  }
  [[nodiscard]] LayerCosts moving(std::int64_t forward, std::int64_t backward) const {
    LayerCosts costs;
    costs.forward_elements = forward;
    costs.backward_elements = backward;
    costs.output_elements = out_;
    costs.rows = real(std::max<std::int64_t>(out_, 1));
    return costs;
  }
  [[nodiscard]] LayerCosts simple(double forward_each, double backward_each, LayerCosts costs) const {
    costs.forward_flops = Flops(forward_each * real(out_));
    costs.backward_flops = Flops(backward_each * real(out_));
    return costs;
  }
  /// Convolutions and linear layers: `flops` of the product; gradients of weights and of the input cost as much each.
  [[nodiscard]] LayerCosts product_layer(double flops, bool has_bias) const {
    const int passes = context_.input_needs_gradient ? 2 : 1;
    LayerCosts costs = moving(in_ + out_, passes * (in_ + out_));
    costs.forward_flops = Flops(flops + (has_bias ? real(out_) : 0.0));
    costs.backward_flops = static_cast<double>(passes) * costs.forward_flops;
    costs.saves_input = true;
    costs.forward_kernels = has_bias ? 2 : 1;
    costs.backward_kernels = passes + (has_bias ? 1 : 0);
    return costs;
  }

  /// Of a tensor of so many elements and channels, in blocks of 16 channels.
  [[nodiscard]] static std::int64_t in_blocks(std::int64_t elements, std::int64_t channels) {
    return elements / channels * ((channels + 15) / 16 * 16);
  }

  void copy_weights(LayerCosts& costs, std::int64_t weights) {
    costs.forward_copy_elements = weights;
    costs.backward_copy_elements = costs.widened_copy_elements = bounded({weights, 2});
  }

  const CostContext& context_;
  LayerFaults& faults_;
  std::int64_t in_, out_;
};

LayerCosts CostRules::rule(const PositionAttention& a) {
  const std::int64_t channels = input()[0];
  const std::int64_t reduced = channels / a.reduction;
  const std::int64_t positions = in_ / channels;
  const std::int64_t matrix = bounded({positions, positions});
  const double cn = real(in_), dn = real(reduced) * real(positions), nn = real(matrix);
  const double projections = 2.0 * real(channels) * (2.0 * dn + cn);
  const double products = 2.0 * nn * (real(reduced) + real(channels));
  const std::int64_t small = reduced * positions;
  LayerCosts costs = moving(11 * in_ + 4 * small + 4 * matrix, 25 * in_ + 8 * small + 7 * matrix);
  costs.forward_flops = Flops(projections + products + 2.0 * dn + cn + 5.0 * nn + 2.0 * cn);
  const double passes = context_.input_needs_gradient ? 2.0 : 1.0;
  costs.backward_flops = Flops(passes * projections + 2.0 * products + 4.0 * nn + 7.0 * cn);
  costs.parameters = 2 * (bounded({channels, reduced}) + reduced) + bounded({channels, channels}) + channels + 1;
  costs.saves_input = true;
  costs.saved_internal_elements = 2 * small + 2 * in_ + matrix;
  costs.workspace_elements = 2 * matrix;
  costs.rows = real(positions);
  costs.forward_kernels = 11;   // 3 projections with bias, 2 products, softmax, scaling, addition
  costs.backward_kernels = 20;  // 9 for the projections, 4 products, softmax, 3 scaling, 3 additions of gradients
  costs.compute_class = ComputeClass::MatrixProduct;
  return costs;
}

LayerCosts CostRules::rule(const CausalAttention& a) {
  const std::int64_t tokens = input()[0], features = input()[1];
  const std::int64_t matrices = bounded({tokens, tokens, a.heads});
  const double tf = real(in_), tt = real(matrices);
  const double projections = 8.0 * tf * real(features), products = 4.0 * tf * real(tokens);
  LayerCosts costs = moving(10 * in_ + 8 * matrices, 20 * in_ + 9 * matrices);
  costs.forward_flops = Flops(projections + products + 4.0 * tf + 7.0 * tt);
  // Without an input gradient the qkv projection, 6 of the 8 T F^2, is passed once only.
  const double skipped = context_.input_needs_gradient ? 0.0 : 0.75 * projections;
  costs.backward_flops = Flops(2.0 * (projections + products) - skipped + 6.0 * tt);
  costs.parameters = bounded({4, features, features}) + bounded({4, features});
  costs.saves_input = true;
  costs.saved_internal_elements = 4 * in_ + matrices;
  costs.workspace_elements = 2 * matrices + 4 * in_;
  costs.rows = real(tokens);
  costs.forward_kernels = 11;   // 2 projections, 2 products, scale, mask, softmax, 4 rearrangements
  costs.backward_kernels = 16;  // 6 for the projections, 4 products, softmax, scale, 4 rearrangements
  costs.compute_class = ComputeClass::MatrixProduct;
  return costs;
}

void drop_backward(LayerCosts& costs) {
  costs.backward_flops = Flops(0.0);
  costs.backward_elements = costs.saved_internal_elements = costs.saved_internal_bytes = 0;
  costs.saves_input = costs.saves_output = false;
  costs.backward_kernels = 0;
}

}  // namespace

std::optional<LayerCosts> derive_costs(const LayerAttributes& attributes, const CostContext& context,
                                       LayerFaults& faults) {
  CostRules rules(context, faults);
  LayerCosts costs = std::visit([&](const auto& a) { return rules.rule(a); }, attributes);
  if (!faults.is_clean()) return std::nullopt;
  if (!context.input_needs_gradient && !has_parameters(attributes)) drop_backward(costs);
  return costs;
}

bool has_parameters(const LayerAttributes& attributes) {
  // Opaque: what was measured stands, whatever is inside.
  return is_any_of<Convolution, TransposedConvolution, BatchNorm, LayerNorm, Linear, PositionAttention, CausalAttention,
                   Embedding, Opaque>(attributes);
}

void add_gradient_accumulation(LayerCosts& costs, std::size_t consumers) {
  const auto additions = static_cast<std::int64_t>(consumers) - 1;
  costs.backward_flops += Flops(real(additions) * real(costs.output_elements));
  costs.backward_elements += 3 * additions * costs.output_elements;
  costs.backward_kernels += static_cast<int>(additions);
}

}  // namespace gabra
