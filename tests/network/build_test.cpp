// SPDX-License-Identifier: MIT
#include "make_network.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

using test::build;
using test::contains;
using test::layer_names;
using test::message_of;

using Names = std::vector<std::string>;

std::string fault(std::vector<LayerSpec> layers, const std::optional<Names>& ends = std::nullopt) {
  return message_of([&] { return build(std::move(layers), ends); });
}

TEST(Build, KeepsTheOrderOfDeclarationWhereInputsAllow) {
  const Network network = build({{"d", Add{}, {"b", "c"}},
                                 {"b", Linear{3}, {"x"}},
                                 {"c", Linear{3}, {"y"}},
                                 {"y", Input{{2}}, {}},
                                 {"x", Input{{2}}, {}}});
  EXPECT_EQ(layer_names(network), (Names{"y", "x", "b", "c", "d"}));
  EXPECT_EQ(network.input_elements(), 4);
  EXPECT_EQ(network.parameters(), 2 * 9);
  EXPECT_FALSE(network.has_opaque_layers());
}

TEST(Build, FillsInDefaults) {
  Convolution convolution;
  convolution.out_channels = 2;
  convolution.kernel = {3};
  const Network network =
      build({{"x", Input{{1, 9}}, {}}, {"a", convolution, {"x"}}, {"b", MaxPool{{2}, {}, {}}, {"a"}}});
  const auto& made = std::get<Convolution>(network.layer(LayerId(1)).attributes);
  EXPECT_EQ(made.stride, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(made.padding, (std::vector<std::int64_t>{0}));
  EXPECT_EQ(made.dilation, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(std::get<MaxPool>(network.layer(LayerId(2)).attributes).stride, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(network.layer(LayerId(2)).output, (Shape{2, 3}));  // 9 - 3 + 1 = 7, then (7 - 2) / 2 + 1 = 3
}

TEST(Build, FaultsOfTheGraph) {
  const LayerSpec x{"x", Input{{4}}, {}};
  EXPECT_TRUE(contains(fault({}), "no layer"));
  EXPECT_TRUE(contains(fault({x}), "input layers only"));
  EXPECT_TRUE(contains(fault({x, {"a", Relu{}, {"x"}}, {"a", Relu{}, {"x"}}}), "\"a\" again"));
  EXPECT_TRUE(contains(fault({x, {"", Relu{}, {"x"}}}), "an empty name"));
  EXPECT_TRUE(contains(fault({x, {"first", Relu{}, {"x"}}, {"b", Relu{}, {"frist"}}}),
                       "layer \"b\", inputs[0]: saw the unknown layer \"frist\" (did you mean \"first\"?)"));
  EXPECT_TRUE(contains(fault({x, {"a", Relu{}, {"x"}}, {"b", Relu{}, {"x"}}}),
                       "2 layers that no other reads: \"a\", \"b\"; allowed: exactly one output"));
  EXPECT_TRUE(contains(fault({x, {"y", Input{{3}}, {}}, {"a", Relu{}, {"x"}}}), "no other reads: \"y\", \"a\""));
  EXPECT_TRUE(contains(fault({x, {"a", Relu{}, {"a"}}}), "a cycle through \"a\""));
  // d hangs on the cycle of b and c.
  const std::string cycle = fault({x, {"d", Relu{}, {"c"}}, {"b", Add{}, {"x", "c"}}, {"c", Relu{}, {"b"}}});
  EXPECT_TRUE(contains(cycle, "a cycle through \"c\", \"b\"") || contains(cycle, "a cycle through \"b\", \"c\""));
}

TEST(Build, FaultsOfLayers) {
  const auto on = [](const Shape& shape, const LayerAttributes& attributes) {
    return fault({{"x", Input{shape}, {}}, {"y", attributes, {"x"}}});
  };
  Convolution convolution;
  convolution.out_channels = 4;
  convolution.kernel = {3, 3};
  EXPECT_TRUE(contains(on({3, 2, 2}, convolution), "kernel: saw a window larger than the input 3x2x2"));
  EXPECT_TRUE(contains(on({3, 8}, convolution), "kernel: saw 2 numbers"));
  EXPECT_TRUE(contains(on({9}, convolution), "inputs: saw shape 9"));
  convolution.groups = 2;
  EXPECT_TRUE(contains(on({3, 8, 8}, convolution), "groups: saw 2"));
  convolution.groups = 0;
  EXPECT_TRUE(contains(on({3, 8, 8}, convolution), "groups: saw the number 0"));
  EXPECT_TRUE(contains(on({3, 8, 8}, MaxPool{{2, 2}, {1, 0}, {2, 0}}), "stride: saw the number 0"));
  EXPECT_TRUE(contains(on({3, 8, 8}, MaxPool{{2, 2}, {1, 0}, {2, 0}}), "padding: saw 2; allowed: at most half"));
  EXPECT_TRUE(contains(on({3, 8, 8}, Linear{4}), "features, or tokens x features"));
  EXPECT_TRUE(contains(on({8}, Linear{0}), "out_features"));
  EXPECT_TRUE(contains(on({12, 2, 2}, PositionAttention{8}), "a divisor of the 12 input channels"));
  EXPECT_TRUE(contains(on({5, 6}, CausalAttention{4}), "a divisor of the 6 features"));
  EXPECT_TRUE(contains(on({5}, CausalAttention{5}), "tokens x features"));
  EXPECT_TRUE(contains(on({5}, Dropout{1.0}), "less than 1"));
  EXPECT_TRUE(contains(on({5}, Dropout{-0.5}), "probability"));
  EXPECT_TRUE(contains(on({5}, BatchNorm{1e-5, 2.0}), "momentum"));
  EXPECT_TRUE(contains(on({5}, Embedding{9, 4, 5}), "an input layer of token ids"));
  EXPECT_TRUE(contains(on({4, 3}, Upsample{0}), "factor"));
  EXPECT_TRUE(contains(on({4, 3}, AdaptiveAveragePool{{2, 2}}), "output: saw 2 dimensions"));
  EXPECT_TRUE(contains(on({4}, Add{}), "inputs: saw 1 inputs; allowed: at least 2"));
  EXPECT_TRUE(contains(on({-4}, Relu{}), "shape: saw the number -4"));
  EXPECT_TRUE(contains(on({}, Relu{}), "shape: saw 0 dimensions"));
  EXPECT_TRUE(contains(on({1LL << 20, 1LL << 20}, Relu{}), "an output of 1048576x1048576"));
  EXPECT_TRUE(contains(fault({{"x", Input{{5}, true}, {}}, {"y", Relu{}, {"x"}}}), "token ids read by embeddings"));
  EXPECT_TRUE(
      contains(fault({{"x", Input{{5}, true}, {}}, {"y", Embedding{9, 4, 4}, {"x"}}}), "at least the 5 tokens"));
  EXPECT_TRUE(contains(fault({{"x", Input{{4}}, {}}, {"y", Input{{4}}, {"x"}}}), "exactly 0 for input"));
}

TEST(Build, FaultsOfJoins) {
  const auto join = [](const LayerAttributes& attributes) {
    return fault({{"x", Input{{4, 3, 3}}, {}}, {"z", Input{{4, 3, 2}}, {}}, {"y", attributes, {"x", "z"}}});
  };
  EXPECT_TRUE(contains(join(Add{}), "shapes 4x3x3 and 4x3x2"));
  EXPECT_TRUE(contains(join(Concat{}), "differ in the first dimension only"));
}

TEST(Build, RefusesWhatOverflows) {
  const std::int64_t large = 1LL << 30;
  EXPECT_TRUE(contains(fault({{"x", Input{{large}}, {}}, {"y", Linear{large}, {"x"}}}), "a layer that is too large"));
  // Layers of 2^34 parameters each are fine one by one; 65 of them exceed 2^40.
  std::vector<LayerSpec> layers{{"l0", Input{{1 << 17}}, {}}};
  for (int i = 1; i <= 65; ++i)
    layers.push_back({"l" + std::to_string(i), Linear{1 << 17, false}, {"l" + std::to_string(i - 1)}});
  EXPECT_TRUE(contains(fault(layers), "parameters; allowed: at most 1099511627776"));
  Convolution convolution;
  convolution.out_channels = 1;
  convolution.kernel = {65'535, 65'535, 65'535};
  convolution.padding = {65'535, 65'535, 65'535};
  EXPECT_NE(fault({{"x", Input{{1 << 20, 8, 8, 8}}, {}}, {"y", convolution, {"x"}}}), "");
}

TEST(Build, ReportsAllFaultsAtOnce) {
  const std::string text = fault({{"x", Input{{4}}, {}},
                                  {"a", Linear{0}, {"x"}},
                                  {"b", Dropout{3.0}, {"x"}},
                                  {"c", Relu{}, {"nowhere"}},
                                  {"c", Relu{}, {"x"}}},
                                 Names{"z"});
  for (const char* part : {"out_features", "probability", "\"nowhere\"", "\"c\" again", "the unknown layer \"z\""})
    EXPECT_TRUE(contains(text, part)) << part << " in:\n" << text;
}

TEST(Build, UnitsOfOnesOwn) {
  const std::vector<LayerSpec> layers{
      {"x", Input{{4}}, {}}, {"a", Linear{4}, {"x"}}, {"b", Relu{}, {"a"}}, {"c", Linear{4}, {"b"}}};
  EXPECT_EQ(build(layers, Names{"a", "b", "c"}).unit_count(), 3U);
  EXPECT_EQ(build(layers, Names{"c"}).unit_count(), 1U);
  EXPECT_TRUE(contains(fault(layers, Names{"a"}), "cover every layer, the last one ending with \"c\""));
  EXPECT_TRUE(contains(fault(layers, Names{}), "cover every layer"));
  EXPECT_TRUE(contains(fault(layers, Names{"b", "a", "c"}), "end of unit 1"));
  EXPECT_TRUE(contains(fault(layers, Names{"a", "a", "c"}), "end of unit 1"));
  EXPECT_TRUE(contains(fault(layers, Names{"x", "c"}), "the input layer \"x\""));
}

TEST(Build, FingerprintSeesWhatDecides) {
  const auto of = [](std::int64_t features, double probability, const std::optional<Names>& ends) {
    return build({{"x", Input{{4}}, {}},
                  {"a", Linear{features}, {"x"}},
                  {"b", Dropout{probability}, {"a"}},
                  {"c", Linear{4}, {"b"}}},
                 ends)
        .fingerprint();
  };
  EXPECT_EQ(of(4, 0.5, std::nullopt), of(4, 0.5, Names{"b", "c"}));  // the same units
  EXPECT_NE(of(4, 0.5, std::nullopt), of(5, 0.5, std::nullopt));
  EXPECT_NE(of(4, 0.5, std::nullopt), of(4, 0.25, std::nullopt));
  EXPECT_NE(of(4, 0.5, std::nullopt), of(4, 0.5, Names{"c"}));
}

}  // namespace
}  // namespace gabra
