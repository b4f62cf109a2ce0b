// SPDX-License-Identifier: MIT
#include "make_network.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

using test::build;
using test::layer;

/// `attributes` as the only layer behind an input: no input gradient.
Layer on_input(const Shape& shape, const LayerAttributes& attributes, bool is_token_ids = false) {
  return layer(build({{"x", Input{shape, is_token_ids}, {}}, {"y", attributes, {"x"}}}), "y");
}

/// `attributes` behind a 1x1 convolution (images) or linear layer that keeps the shape: with input gradient.
Layer inside(const Shape& shape, const LayerAttributes& attributes) {
  LayerAttributes before = Linear{shape.back()};
  if (shape.size() > 2) {
    Convolution convolution;
    convolution.out_channels = shape[0];
    convolution.kernel.assign(shape.size() - 1, 1);
    before = convolution;
  }
  return layer(build({{"x", Input{shape}, {}}, {"p", before, {"x"}}, {"y", attributes, {"p"}}}), "y");
}

Convolution convolution(std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  Convolution result;
  result.out_channels = out;
  result.kernel = {kernel, kernel};
  result.stride = {stride, stride};
  result.padding = {padding, padding};
  return result;
}

// 4 -> 6 channels, 3x3 on 8x8 with padding 1, stride 2: (8 + 2 - 3) / 2 + 1 = 4, so O = 6*16 = 96, I = 256.
// Flops 2*4*9*96 = 6912, bias 96. Weights 6*4*9 = 216, bias 6.
TEST(Costs, Convolution) {
  const Layer y = inside({4, 8, 8}, convolution(6, 3, 2, 1));
  EXPECT_EQ(y.output, (Shape{6, 4, 4}));
  EXPECT_EQ(y.costs.forward_flops.value(), 6912 + 96);
  EXPECT_EQ(y.costs.backward_flops.value(), 2 * (6912 + 96));
  EXPECT_EQ(y.costs.parameters, 216 + 6);
  EXPECT_EQ(y.costs.forward_elements, 256 + 96);
  EXPECT_EQ(y.costs.backward_elements, 2 * (256 + 96));
  EXPECT_EQ(y.costs.rows, 16.0);
  EXPECT_TRUE(y.costs.saves_input);
  EXPECT_FALSE(y.costs.saves_output);
  EXPECT_EQ(y.costs.forward_kernels, 2);   // product, bias
  EXPECT_EQ(y.costs.backward_kernels, 3);  // weights, input, bias
  EXPECT_EQ(y.costs.compute_class, ComputeClass::Convolution);
}

TEST(Costs, FirstConvolutionHasNoInputGradient) {
  const Layer y = on_input({4, 8, 8}, convolution(6, 3, 2, 1));
  EXPECT_EQ(y.costs.backward_flops.value(), 6912 + 96);
  EXPECT_EQ(y.costs.backward_elements, 256 + 96);
  EXPECT_EQ(y.costs.backward_kernels, 2);
  EXPECT_TRUE(y.costs.saves_input);
}

// Two groups of 2 -> 3 channels: flops 2*2*9*O with O = 6*64 = 384; weights 6*2*9 = 108. Dilation 2: window of 5, so
// padding 2 keeps 8x8.
TEST(Costs, GroupedDilatedConvolutionWithoutBias) {
  Convolution a = convolution(6, 3, 1, 2);
  a.groups = 2;
  a.dilation = {2, 2};
  a.bias = false;
  const Layer y = inside({4, 8, 8}, a);
  EXPECT_EQ(y.output, (Shape{6, 8, 8}));
  EXPECT_EQ(y.costs.forward_flops.value(), 2 * 2 * 9 * 384);
  EXPECT_EQ(y.costs.parameters, 108);
  EXPECT_EQ(y.costs.forward_kernels, 1);
}

// 4 -> 2 channels, 2x2 stride 2 on 3x5: 6x10, O = 120, I = 60. Flops 2*2*4*60 = 960, bias 120; weights 4*2*4 = 32.
TEST(Costs, TransposedConvolution) {
  TransposedConvolution a;
  a.out_channels = 2;
  a.kernel = a.stride = {2, 2};
  const Layer y = inside({4, 3, 5}, a);
  EXPECT_EQ(y.output, (Shape{2, 6, 10}));
  EXPECT_EQ(y.costs.forward_flops.value(), 960 + 120);
  EXPECT_EQ(y.costs.backward_flops.value(), 2 * (960 + 120));
  EXPECT_EQ(y.costs.parameters, 32 + 2);
  EXPECT_EQ(y.costs.rows, 15.0);
}

// E = 4*9 = 36 elements: moved 3 E and 5 E, flops 7 E and 10 E; scale, shift and two running statistics per channel.
TEST(Costs, BatchNorm) {
  const Layer y = inside({4, 3, 3}, BatchNorm{});
  EXPECT_EQ(y.costs.forward_elements, 108);
  EXPECT_EQ(y.costs.backward_elements, 180);
  EXPECT_EQ(y.costs.forward_flops.value(), 252);
  EXPECT_EQ(y.costs.backward_flops.value(), 360);
  EXPECT_EQ(y.costs.parameters, 8);
  EXPECT_EQ(y.costs.buffers, 8);
  EXPECT_TRUE(y.costs.saves_input);
}

// 5 tokens of 6 features: mean and scale of each token are 2 float32, 8 bytes.
TEST(Costs, LayerNorm) {
  const Layer y = inside({5, 6}, LayerNorm{});
  EXPECT_EQ(y.costs.parameters, 12);
  EXPECT_EQ(y.costs.buffers, 0);
  EXPECT_EQ(y.costs.saved_internal_bytes, 40);
  EXPECT_EQ(y.costs.rows, 5.0);
  EXPECT_EQ(y.costs.forward_flops.value(), 7 * 30);
  EXPECT_EQ(y.costs.forward_elements, 60);
}

TEST(Costs, ElementwiseKinds) {
  const Layer relu = inside({5, 6}, Relu{});
  EXPECT_EQ(relu.costs.forward_elements, 60);
  EXPECT_EQ(relu.costs.backward_elements, 90);
  EXPECT_EQ(relu.costs.forward_flops.value(), 30);
  EXPECT_TRUE(relu.costs.saves_output);
  EXPECT_FALSE(relu.costs.saves_input);

  const Layer gelu = inside({5, 6}, Gelu{});
  EXPECT_EQ(gelu.costs.forward_flops.value(), 240);
  EXPECT_EQ(gelu.costs.backward_flops.value(), 420);
  EXPECT_TRUE(gelu.costs.saves_input);

  const Layer softmax = inside({5, 6}, Softmax{});
  EXPECT_EQ(softmax.costs.forward_flops.value(), 150);
  EXPECT_TRUE(softmax.costs.saves_output);

  const Layer dropout = inside({5, 6}, Dropout{0.1});
  EXPECT_EQ(dropout.costs.saved_internal_bytes, 30);  // a mask of one byte per element
  EXPECT_FALSE(dropout.costs.saves_input);
  EXPECT_FALSE(dropout.costs.saves_output);
}

// 2x2 windows with stride 2 on 4 channels of 6x6: O = 36, I = 144. Indices are 8 bytes each, two elements: moved
// 144 + 3*36 = 252.
TEST(Costs, Pooling) {
  const Layer most = inside({4, 6, 6}, MaxPool{{2, 2}, {}, {}});
  EXPECT_EQ(most.output, (Shape{4, 3, 3}));
  EXPECT_EQ(most.costs.forward_flops.value(), 4 * 36);
  EXPECT_EQ(most.costs.forward_elements, 252);
  EXPECT_EQ(most.costs.saved_internal_bytes, 8 * 36);
  EXPECT_TRUE(most.costs.saves_input);

  const Layer mean = inside({4, 6, 6}, AveragePool{{3, 3}, {1, 1}, {1, 1}});
  EXPECT_EQ(mean.output, (Shape{4, 6, 6}));
  EXPECT_EQ(mean.costs.forward_flops.value(), 9 * 144);
  EXPECT_EQ(mean.costs.saved_internal_bytes, 0);

  const Layer adaptive = inside({4, 6, 6}, AdaptiveAveragePool{{2, 3}});
  EXPECT_EQ(adaptive.output, (Shape{4, 2, 3}));
  EXPECT_EQ(adaptive.costs.forward_flops.value(), 144);
  EXPECT_TRUE(adaptive.costs.saves_input);
  EXPECT_FALSE(inside({4, 6, 6}, AdaptiveAveragePool{{1, 1}}).costs.saves_input);  // a mean keeps sizes only
}

TEST(Costs, FlattenIsAView) {
  const Layer y = inside({4, 6, 6}, Flatten{});
  EXPECT_EQ(y.output, (Shape{144}));
  EXPECT_EQ(y.costs.forward_elements, 0);
  EXPECT_EQ(y.costs.forward_kernels + y.costs.backward_kernels, 0);
}

// 5 tokens, 6 -> 7 features: flops 2*6*35 = 420, bias 35; weights 42, bias 7.
TEST(Costs, Linear) {
  const Layer y = inside({5, 6}, Linear{7});
  EXPECT_EQ(y.output, (Shape{5, 7}));
  EXPECT_EQ(y.costs.forward_flops.value(), 420 + 35);
  EXPECT_EQ(y.costs.backward_flops.value(), 2 * (420 + 35));
  EXPECT_EQ(y.costs.parameters, 49);
  EXPECT_EQ(y.costs.rows, 5.0);
  EXPECT_EQ(y.costs.forward_elements, 30 + 35);
  EXPECT_EQ(y.costs.compute_class, ComputeClass::MatrixProduct);
  EXPECT_EQ(on_input({6}, Linear{7}).costs.rows, 1.0);
  EXPECT_EQ(on_input({6}, Linear{7}).costs.backward_flops.value(), 2 * 6 * 7 + 7);
}

// Three tensors of 2x3x3 = 18: two additions, each reads two and writes one.
TEST(Costs, AddAndConcat) {
  const auto joined = [](const LayerAttributes& join) {
    return layer(build({{"x", Input{{2, 3, 3}}, {}},
                        {"a", convolution(2, 1, 1, 0), {"x"}},
                        {"b", convolution(2, 1, 1, 0), {"x"}},
                        {"c", convolution(2, 1, 1, 0), {"x"}},
                        {"y", join, {"a", "b", "c"}}}),
                 "y");
  };
  const Layer sum = joined(Add{});
  EXPECT_EQ(sum.output, (Shape{2, 3, 3}));
  EXPECT_EQ(sum.costs.forward_flops.value(), 36);
  EXPECT_EQ(sum.costs.forward_elements, 108);
  EXPECT_EQ(sum.costs.forward_kernels, 2);
  EXPECT_EQ(sum.costs.backward_elements, 0);
  const Layer all = joined(Concat{});
  EXPECT_EQ(all.output, (Shape{6, 3, 3}));
  EXPECT_EQ(all.costs.forward_elements, 108);
  EXPECT_EQ(all.costs.backward_kernels, 3);
  EXPECT_EQ(all.costs.forward_flops.value(), 0);
}

TEST(Costs, Upsample) {
  const Layer y = inside({4, 2, 3}, Upsample{3});
  EXPECT_EQ(y.output, (Shape{4, 6, 9}));
  EXPECT_EQ(y.costs.forward_elements, 24 + 216);
  EXPECT_EQ(y.costs.backward_flops.value(), 216);
}

// C = 16, d = 2, N = 8, CN = 128, dN = 16, N^2 = 64.
// Projections 2*16*(2*16 + 128) = 5120, products 2*64*(2 + 16) = 2304, biases 2*16 + 128 = 160, softmax 320, gamma 256.
// Backward 2*(5120 + 2304) + 4*64 + 7*128 = 16000. Parameters 2*(32 + 2) + 256 + 16 + 1 = 341.
// Moved 11*128 + 4*16 + 4*64 = 1728 and 25*128 + 8*16 + 7*64 = 3776. Saved 2*16 + 2*128 + 64 = 352.
TEST(Costs, PositionAttention) {
  const Layer y = inside({16, 2, 2, 2}, PositionAttention{});
  EXPECT_EQ(y.output, (Shape{16, 2, 2, 2}));
  EXPECT_EQ(y.costs.forward_flops.value(), 5120 + 2304 + 160 + 320 + 256);
  EXPECT_EQ(y.costs.backward_flops.value(), 16'000);
  EXPECT_EQ(y.costs.parameters, 341);
  EXPECT_EQ(y.costs.forward_elements, 1728);
  EXPECT_EQ(y.costs.backward_elements, 3776);
  EXPECT_EQ(y.costs.saved_internal_elements, 352);
  EXPECT_EQ(y.costs.workspace_elements, 128);
  EXPECT_EQ(y.costs.rows, 8.0);
  EXPECT_TRUE(y.costs.saves_input);
}

// T = 5, F = 6, h = 3: TF = 30, h T^2 = 75. Projections 8*30*6 = 1440, products 4*30*5 = 600, biases 120, the rest 525.
// Backward 2*2040 + 6*75 = 4530. Parameters 4*36 + 24 = 168. Saved 4*30 + 75 = 195.
TEST(Costs, CausalAttention) {
  const Layer y = inside({5, 6}, CausalAttention{3});
  EXPECT_EQ(y.costs.forward_flops.value(), 1440 + 600 + 120 + 525);
  EXPECT_EQ(y.costs.backward_flops.value(), 4530);
  EXPECT_EQ(y.costs.parameters, 168);
  EXPECT_EQ(y.costs.saved_internal_elements, 195);
  EXPECT_EQ(y.costs.forward_elements, 10 * 30 + 8 * 75);
  EXPECT_EQ(y.costs.backward_elements, 20 * 30 + 9 * 75);
  EXPECT_EQ(y.costs.workspace_elements, 150 + 4 * 30);
}

// 5 tokens of 11, 6 features, 8 positions: 66 + 48 parameters, 30 elements out.
TEST(Costs, Embedding) {
  const Layer y = on_input({5}, Embedding{11, 6, 8}, true);
  EXPECT_EQ(y.output, (Shape{5, 6}));
  EXPECT_EQ(y.costs.parameters, 114);
  EXPECT_EQ(y.costs.forward_elements, 120);
  EXPECT_EQ(y.costs.backward_elements, 90);
  EXPECT_EQ(y.costs.rows, 5.0);
}

TEST(Costs, Opaque) {
  Opaque a;
  a.output_bytes = 10;  // 2.5 float32 elements: 3
  a.parameter_bytes = 400;
  a.saved_bytes = 12;
  a.batch = 4;
  a.forward = Seconds(0.4);
  a.backward = Seconds(0.8);
  const Layer y = layer(build({{"y", a, {}}}), "y");
  EXPECT_EQ(y.output, (Shape{3}));
  EXPECT_EQ(y.costs.parameters, 100);
  EXPECT_EQ(y.costs.saved_internal_bytes, 12);
  EXPECT_DOUBLE_EQ(y.costs.measured_forward.value().value(), 0.1);
  EXPECT_DOUBLE_EQ(y.costs.measured_backward.value().value(), 0.2);
}

TEST(Costs, LayersWithoutParametersOnTheInputHaveNoBackward) {
  const Layer y = on_input({4, 6, 6}, MaxPool{{2, 2}, {}, {}});
  EXPECT_EQ(y.costs.backward_flops.value(), 0);
  EXPECT_EQ(y.costs.backward_kernels, 0);
  EXPECT_FALSE(y.costs.saves_input);
  EXPECT_EQ(y.costs.saved_internal_bytes, 0);
}

// A tensor of 18 elements read by three layers: two additions of gradients, charged to its maker: 1x1 convolution of
// 2 -> 2 channels, 2*2*18 + 18 = 90 flops, once (no input gradient), plus 36; moved 36 + 2*54.
TEST(Costs, GradientsOfSeveralReadersAreAddedUp) {
  const Network network = build({{"x", Input{{2, 3, 3}}, {}},
                                 {"a", convolution(2, 1, 1, 0), {"x"}},
                                 {"b", Relu{}, {"a"}},
                                 {"c", Relu{}, {"a"}},
                                 {"y", Add{}, {"a", "b", "c"}}});
  EXPECT_EQ(layer(network, "a").costs.backward_flops.value(), 90 + 36);
  EXPECT_EQ(layer(network, "a").costs.backward_elements, 36 + 108);
  EXPECT_EQ(layer(network, "a").costs.backward_kernels, 2 + 2);
}

}  // namespace
}  // namespace gabra
