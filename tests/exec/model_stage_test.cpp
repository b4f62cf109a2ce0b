// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/network/zoo.hpp"
#include "support/random_batch.hpp"
#include "support/stage_chain.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace gabra::exec {
namespace {

const char* const kDropoutNetwork = "gpt:layers=2,hidden=16,heads=2,sequence=6,vocabulary=9,dropout=0.3";

/// Every tensor of the state after two steps.
std::map<std::string, at::Tensor> train(const Network& network, const ChainPlan& plan, c10::ScalarType dtype) {
  StageChain chain(network, plan, {.dtype = dtype, .seed = 4});
  for (std::int64_t step = 1; step <= 2; ++step) {
    const RandomBatch batch = make_random_batch(network, 2, 2, static_cast<std::uint64_t>(step));
    chain.step(batch.inputs, batch.targets, {.learning_rate = 0.05, .step = step});
  }
  return chain.state();
}

void expect_equal_bits(const char* name, const ChainPlan& plan, c10::ScalarType dtype = at::kFloat) {
  const Network network = make_zoo_network(name);
  const auto expected = train(network, {}, dtype), found = train(network, plan, dtype);
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [key, tensor] : expected) EXPECT_TRUE(found.at(key).equal(tensor)) << name << " " << key;
}

TEST(Stage, SegmentsRecomputationAndCutsChangeNoBit) {
  for (const char* const name :
       {"3d-resattnet-18:width=8,input=1x24x24x24", "unet-3d:width=4,input=1x16x16x16", kDropoutNetwork}) {
    expect_equal_bits(name, {.has_segments = true});
    expect_equal_bits(name, {.recomputes = true});
    expect_equal_bits(name, {.cuts = {1, 3}, .recomputes = true, .has_segments = true});
  }
}

TEST(Stage, BFloat16ChangesNoBitEither) {
  expect_equal_bits(kDropoutNetwork, {.cuts = {2}, .recomputes = true}, at::kBFloat16);
}

/// bfloat16 has 8 bits: after 18 layers the gradient still points the same way (an unrelated one is 1.4 away).
TEST(Stage, BFloat16IsNearFloat32) {
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x64x64x64");
  StageChain wide(network, {}, {.dtype = at::kFloat}), narrow(network, {}, {.dtype = at::kBFloat16});
  const RandomBatch batch = make_random_batch(network, 2, 2, 1);
  const double expected = wide.accumulate(batch.inputs, batch.targets, 0);
  EXPECT_NEAR(narrow.accumulate(batch.inputs, batch.targets, 0), expected, 0.03 * expected);
  const at::Tensor gradient = narrow.modules()[0]->gradient(0).to(at::kFloat);
  EXPECT_LT(relative_difference(gradient, wide.modules()[0]->gradient(0)), 0.5);
  narrow.modules()[0]->update({.learning_rate = 1e-2});
  // The master weights are what the weights are rounded from.
  std::map<std::string, at::Tensor> state;
  for (const NamedTensor& entry : narrow.modules()[0]->optimizer_state()) state[entry.name] = entry.tensor;
  for (const NamedTensor& parameter : narrow.modules()[0]->parameters()) {
    const at::Tensor& master = state.at(parameter.name + "/master");
    EXPECT_EQ(master.scalar_type(), at::kFloat);
    EXPECT_TRUE(master.to(at::kBFloat16).equal(parameter.tensor)) << parameter.name;
  }
}

/// What Grad-CAM does; LibTorch's batch norm has nothing saved to go by then.
TEST(Stage, BFloat16GoesBackAfterAnEvaluation) {
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32");
  std::vector<at::Tensor> gradients;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    StageModule module(network, {{0, static_cast<std::int32_t>(network.unit_count())}, {DeviceId(0)}, {}},
                       Optimizer::SgdMomentum, {.dtype = dtype});
    module.put_network_input(0, make_random_batch(network, 1, 2, 1).inputs[0]);
    module.forward(0, true, {.is_training = false});
    module.put_output_gradient(0, at::full(module.take_network_output(0).sizes(), 1.0, dtype));
    module.backward(0, -1);
    gradients.push_back(module.gradient(0));
  }
  EXPECT_LT(relative_difference(gradients[1], gradients[0]), 0.3);
}

TEST(Stage, DoesNotWriteToWhatOthersSent) {
  std::vector<LayerSpec> layers{{"input", Input{{4}}, {}}, {"a", Linear{5}, {"input"}}, {"b", Relu{}, {"a"}},
                                {"c", Linear{4}, {"b"}},   {"d", Relu{}, {"c"}},        {"e", Add{}, {"d", "a2"}},
                                {"a2", Linear{4}, {"a"}},  {"f", Linear{2}, {"e"}}};
  const Network network = Network::build("cut", std::move(layers), "test", std::vector<std::string>{"a", "a2", "f"});
  StageModule module(network, {{1, 3}, {DeviceId(0)}, {}}, Optimizer::SgdMomentum, {});
  const at::Tensor value = at::randn({3, 5}), copy = value.clone();
  module.put_activation(0, 0, value);
  module.forward(0, true, {});
  module.loss(0, at::zeros({3}, at::kLong), {}, 1.0);
  module.backward(0, -1);
  EXPECT_TRUE(value.equal(copy));
  EXPECT_EQ(module.take_input_gradient(0, 0).sizes(), value.sizes());
}

TEST(Stage, ClipsByTheNormOfAllGradients) {
  const Network network = make_zoo_network(kDropoutNetwork);
  StageChain chain(network, {.has_segments = true}, {.dtype = at::kDouble});
  const RandomBatch batch = make_random_batch(network, 1, 2, 1);
  chain.accumulate(batch.inputs, batch.targets, 0);
  StageModule& module = *chain.modules()[0];
  double squares = 0.0;
  for (std::size_t bucket = 0; bucket < module.bucket_count(); ++bucket)
    squares += module.gradient(bucket).square().sum().item<double>();
  EXPECT_NEAR(module.squared_gradient_norm().item<double>(), squares, 1e-12 * squares);
  module.scale_gradients(at::scalar_tensor(0.5, at::kDouble));
  EXPECT_NEAR(module.squared_gradient_norm().item<double>(), 0.25 * squares, 1e-12 * squares);
}

TEST(Stage, StartsAlikeInEveryPlanAndPrecision) {
  const Network network = make_zoo_network("unet-3d:width=4,input=1x16x16x16");
  StageChain whole(network, {}, {.dtype = at::kDouble, .seed = 3});
  StageChain cut(network, {.cuts = {2, 4}, .has_segments = true}, {.dtype = at::kFloat, .seed = 3});
  const auto expected = whole.state(), found = cut.state();
  for (const StateEntry& entry : model_state(network)) {
    EXPECT_EQ(expected.at(entry.name).sizes().vec(), entry.shape) << entry.name;
    EXPECT_TRUE(found.at(entry.name).equal(expected.at(entry.name).to(at::kFloat))) << entry.name;
  }
  EXPECT_EQ(expected.size(), model_state(network).size());
}

/// GPUs have slower kernels for weights that are not at a multiple of 16 bytes; attention's gamma has one element.
TEST(Stage, ParametersBeginAtMultiplesOfTheirAlignment) {
  for (const char* const name : {"3d-resattnet-18:width=8,input=1x32x32x32", "unet-3d:width=4,input=1x16x16x16"})
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const Network network = make_zoo_network(name);
      StageChain chain(network, {}, {.dtype = dtype});
      for (const NamedTensor& parameter : chain.modules()[0]->parameters()) {
        const std::int64_t count = parameter.tensor.numel();
        const auto bytes = static_cast<std::uintptr_t>(std::min<std::int64_t>(count & -count, 64) *
                                                       static_cast<std::int64_t>(parameter.tensor.element_size()));
        const auto address = reinterpret_cast<std::uintptr_t>(parameter.tensor.const_data_ptr());
        EXPECT_EQ(address % std::min<std::uintptr_t>(bytes, 64), 0U) << name << " " << parameter.name;
      }
    }
}

TEST(Stage, PassesOnNaN) {
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32");
  StageChain chain(network, {}, {});
  RandomBatch batch = make_random_batch(network, 1, 2, 1);
  batch.inputs[0][0][0][0][3][3][3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(chain.accumulate(batch.inputs, batch.targets, 0)));
}

TEST(Stage, RefusesOpaqueLayersAndSingleValues) {
  Opaque box;
  box.description = "box";
  box.output_bytes = 8;
  const Network opaque = Network::build("n", {{"x", box, {}}}, "test");
  EXPECT_THROW(StageModule(opaque, {{0, 1}, {DeviceId(0)}, {}}, Optimizer::SgdMomentum, {}), InputError);
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32");
  StageChain chain(network, {}, {});
  const RandomBatch batch = make_random_batch(network, 1, 1, 1);
  EXPECT_THROW(chain.accumulate(batch.inputs, batch.targets, 0), InputError);
}

}  // namespace
}  // namespace gabra::exec
