// SPDX-License-Identifier: MIT
#include "support/random_batch.hpp"
#include "support/reference_trainer.hpp"
#include "support/stage_chain.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace gabra::exec {
namespace {

using Extents = std::vector<std::int64_t>;

/// A layer between one with parameters, whose gradients are the layer's input gradient, and a classifier.
struct LayerCase {
  std::string name;
  Shape input;
  LayerAttributes layer;
  bool is_tokens = false;
};

std::ostream& operator<<(std::ostream& out, const LayerCase& layer) { return out << layer.name; }

LayerAttributes pointwise(std::size_t dimensions, std::int64_t channels) {
  Convolution layer;
  layer.out_channels = channels;
  layer.kernel = Extents(dimensions, 1);
  return layer;
}

Network sandwich(const LayerCase& middle) {
  std::vector<LayerSpec> layers{{"input", Input{middle.input, middle.is_tokens}, {}}};
  const bool is_image = middle.input.size() > 1 && !std::holds_alternative<LayerNorm>(middle.layer) &&
                        !std::holds_alternative<Linear>(middle.layer) &&
                        !std::holds_alternative<CausalAttention>(middle.layer);
  if (std::holds_alternative<Embedding>(middle.layer))
    layers.push_back({"layer", middle.layer, {"input"}});
  else if (is_image)
    layers.push_back({"first", pointwise(middle.input.size() - 1, 8), {"input"}});
  else
    layers.push_back({"first", Linear{8}, {"input"}});
  if (layers.back().name == "first") layers.push_back({"layer", middle.layer, {"first"}});
  layers.push_back({"flatten", Flatten{}, {"layer"}});
  layers.push_back({"last", Linear{3}, {"flatten"}});
  return Network::build(middle.name, std::move(layers), "test");
}

/// Gradients by parameter name, of the only bucket: they lie in it as the parameters do in theirs.
std::map<std::string, at::Tensor> gradients_of(StageModule& module) {
  std::map<std::string, at::Tensor> result;
  const at::Tensor flat = module.gradient(0);
  const std::vector<NamedTensor> parameters = module.parameters();
  std::int64_t begin = parameters.front().tensor.storage_offset();
  for (const NamedTensor& parameter : parameters) begin = std::min(begin, parameter.tensor.storage_offset());
  std::int64_t elements = 0;
  for (const NamedTensor& parameter : parameters) {
    const std::int64_t at = parameter.tensor.storage_offset() - begin;
    result[parameter.name] = flat.narrow(0, at, parameter.tensor.numel()).view(parameter.tensor.sizes());
    elements += parameter.tensor.numel();
  }
  EXPECT_EQ(elements, flat.numel());
  return result;
}

/// Losses and gradients of two micro-batches against autograd, and the running statistics after the update.
void expect_parity(const std::shared_ptr<const Network>& network, c10::ScalarType dtype, double tolerance,
                   std::int64_t samples) {
  const ModelOptions options{.dtype = dtype, .seed = 11};
  ReferenceTrainer reference(network, {.dtype = at::kDouble, .seed = 11}, {}, at::tensor({0.5, 1.0, 2.0}));
  StageChain chain(*network, {}, options);
  // gamma of attention starts at zero, which would hide everything behind it; float32 weights are the reference's too.
  for (auto& [name, tensor] : chain.state()) {
    if (name.ends_with("gamma")) tensor.fill_(0.5);
    reference.set(name, tensor);
  }
  const RandomBatch batch = make_random_batch(*network, 2, samples, 3);
  const double expected = reference.step(batch.inputs, batch.targets, {});
  const double loss = chain.accumulate(batch.inputs, batch.targets, 0, at::tensor({0.5, 1.0, 2.0}));
  EXPECT_NEAR(loss, expected, tolerance * expected);
  const bool is_normalised = network->layers()[2].costs.buffers > 0;
  const auto gradients = gradients_of(*chain.modules()[0]);
  for (const auto& [name, gradient] : reference.gradients()) {
    // True gradients of zero: the key's bias, and a bias that batch norm takes out again.
    if (name.ends_with("k.bias") || (name == "first.bias" && is_normalised)) continue;
    EXPECT_LT(relative_difference(gradients.at(name), gradient), tolerance) << name;
  }
  chain.modules()[0]->update({});
  const auto state = chain.state();
  for (const NamedTensor& entry : reference.state()) {
    if (entry.name.find("running") == std::string::npos) continue;
    EXPECT_LT(relative_difference(state.at(entry.name), entry.tensor), tolerance) << entry.name;
  }
  EXPECT_LT(relative_difference(chain.evaluate(batch.inputs[0]), reference.evaluate(batch.inputs[0])), tolerance);
}

class LayerParity : public testing::TestWithParam<LayerCase> {};

TEST_P(LayerParity, EqualsAutogradInFloat64) {
  expect_parity(std::make_shared<const Network>(sandwich(GetParam())), at::kDouble, 1e-12, 2);
}

// With one sample LibTorch takes other paths than oneDNN.
TEST_P(LayerParity, IsNearFloat64InFloat32) {
  expect_parity(std::make_shared<const Network>(sandwich(GetParam())), at::kFloat, 2e-5, 1);
}

Convolution convolution(Extents kernel, Extents stride, Extents padding, Extents dilation, std::int64_t groups,
                        bool bias) {
  return {4, std::move(kernel), std::move(stride), std::move(padding), std::move(dilation), groups, bias};
}

const LayerCase kLayers[] = {
    {"convolution 1-d", {3, 17}, convolution({5}, {2}, {2}, {1}, 1, true)},
    {"convolution 2-d", {3, 9, 11}, convolution({3, 5}, {1, 2}, {1, 0}, {1, 1}, 1, false)},
    {"convolution 2-d dilated", {3, 9, 11}, convolution({3, 3}, {1, 1}, {2, 2}, {2, 2}, 1, true)},
    {"convolution 2-d in groups", {3, 9, 11}, convolution({3, 3}, {2, 1}, {1, 1}, {1, 1}, 4, true)},
    {"convolution 3-d", {2, 7, 6, 5}, convolution({3, 3, 3}, {2, 1, 2}, {1, 1, 1}, {1, 1, 1}, 1, true)},
    {"convolution 3-d in groups", {2, 7, 6, 5}, convolution({3, 2, 1}, {1, 1, 1}, {1, 0, 0}, {2, 1, 1}, 2, false)},
    {"transposed 1-d", {3, 6}, TransposedConvolution{5, {3}, {2}, {1}, true}},
    {"transposed 2-d", {3, 5, 4}, TransposedConvolution{5, {2, 3}, {2, 1}, {0, 1}, false}},
    {"transposed 3-d", {2, 3, 4, 3}, TransposedConvolution{4, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}, true}},
    {"batch norm 1-d", {3, 40}, BatchNorm{1e-5, 0.1}},
    {"batch norm 2-d", {3, 5, 7}, BatchNorm{1e-3, 0.3}},
    {"batch norm 3-d", {2, 4, 11, 5}, BatchNorm{}},
    {"layer norm", {6, 5}, LayerNorm{1e-4}},
    {"relu", {3, 5, 4}, Relu{}},
    {"gelu", {3, 5, 4}, Gelu{}},
    {"max pool 1-d", {3, 17}, MaxPool{{3}, {2}, {1}}},
    {"max pool 2-d", {3, 9, 8}, MaxPool{{2, 3}, {2, 1}, {1, 0}}},
    {"max pool 3-d", {2, 9, 7, 21}, MaxPool{{3, 3, 3}, {2, 2, 2}, {1, 1, 1}}},
    {"average pool 1-d", {3, 17}, AveragePool{{3}, {2}, {1}}},
    {"average pool 2-d", {3, 9, 8}, AveragePool{{2, 3}, {2, 1}, {1, 0}}},
    {"average pool 3-d", {2, 5, 7, 6}, AveragePool{{3, 2, 2}, {2, 2, 2}, {1, 1, 0}}},
    {"adaptive pool 1-d", {3, 17}, AdaptiveAveragePool{{4}}},
    {"adaptive pool 2-d", {3, 9, 8}, AdaptiveAveragePool{{2, 3}}},
    {"adaptive pool 3-d", {2, 5, 7, 6}, AdaptiveAveragePool{{3, 2, 1}}},
    {"global pool", {2, 5, 7, 6}, AdaptiveAveragePool{{1, 1, 1}}},
    {"linear on tokens", {6, 5}, Linear{7, true}},
    {"linear without bias", {6}, Linear{7, false}},
    {"upsample 1-d", {3, 7}, Upsample{3}},
    {"upsample 2-d", {3, 4, 5}, Upsample{2}},
    {"upsample 3-d", {2, 3, 2, 4}, Upsample{2}},
    {"position attention 1-d", {2, 9}, PositionAttention{4}},
    {"position attention 3-d", {2, 3, 2, 4}, PositionAttention{2}},
    {"causal attention", {6, 5}, CausalAttention{4}},
    {"embedding", {7}, Embedding{9, 6, 10}, true},
    {"dropout", {3, 5, 4}, Dropout{0.3}},
    {"softmax of channels", {3, 5, 4}, Softmax{}},
    {"softmax of features", {9}, Softmax{}},
};

INSTANTIATE_TEST_SUITE_P(Kinds, LayerParity, testing::ValuesIn(kLayers));

// Tensors with several readers, one of them twice, and ReLUs that may or may not write over their input.
TEST(Graph, AccumulatesGradientsOfSharedTensors) {
  std::vector<LayerSpec> layers{{"input", Input{{3, 6, 5}}, {}},
                                {"a", pointwise(2, 4), {"input"}},
                                {"b", Relu{}, {"a"}},
                                {"c", BatchNorm{}, {"a"}},
                                {"d", Add{}, {"a", "b", "c"}},
                                {"e", BatchNorm{}, {"d"}},
                                {"f", Add{}, {"e", "d"}},
                                {"g", Relu{}, {"f"}},
                                {"h", Add{}, {"g", "g"}},
                                {"i", Concat{}, {"h", "input", "b"}},
                                {"j", Relu{}, {"i"}},
                                {"k", Flatten{}, {"j"}},
                                {"l", Relu{}, {"k"}},
                                {"last", Linear{3}, {"l"}}};
  const auto network = std::make_shared<const Network>(Network::build("shared", std::move(layers), "test"));
  expect_parity(network, at::kDouble, 1e-12, 2);
}

}  // namespace
}  // namespace gabra::exec
