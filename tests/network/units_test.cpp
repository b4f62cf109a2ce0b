// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"
#include "make_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gabra {
namespace {

using test::build;
using test::unit_names;

using Names = std::vector<std::string>;

Convolution same(std::int64_t channels) {
  Convolution result;
  result.out_channels = channels;
  result.kernel = {3, 3};
  result.padding = {1, 1};
  result.bias = false;
  return result;
}

/// conv-bn-relu, then a residual block of two convolutions: 2 channels of 4x4, E = 32.
std::vector<LayerSpec> block_layers() {
  return {{"x", Input{{2, 4, 4}}, {}},
          {"stem.conv", same(2), {"x"}},
          {"stem.bn", BatchNorm{}, {"stem.conv"}},
          {"stem.relu", Relu{}, {"stem.bn"}},
          {"b.conv1", same(2), {"stem.relu"}},
          {"b.bn1", BatchNorm{}, {"b.conv1"}},
          {"b.relu1", Relu{}, {"b.bn1"}},
          {"b.conv2", same(2), {"b.relu1"}},
          {"b.add", Add{}, {"b.conv2", "stem.relu"}},
          {"b.relu", Relu{}, {"b.add"}},
          {"head.pool", AdaptiveAveragePool{{1, 1}}, {"b.relu"}},
          {"head.flatten", Flatten{}, {"head.pool"}},
          {"head.linear", Linear{3}, {"head.flatten"}}};
}

TEST(Units, CutsAreBetweenBlocks) {
  const Network network = build(block_layers());
  EXPECT_EQ(unit_names(network), (Names{"stem", "b", "head"}));
  EXPECT_EQ(network.units()[0].first, LayerId(1));  // the input belongs to no unit
  EXPECT_EQ(network.units()[1].first, LayerId(4));
  EXPECT_EQ(network.units()[1].end, LayerId(10));
}

TEST(Units, TensorsBetweenUnits) {
  const Network network = build(block_layers());
  ASSERT_EQ(network.unit_tensors().size(), 2U);
  const UnitTensor& first = network.unit_tensors()[0];
  EXPECT_EQ(first.layer, LayerId(3));
  EXPECT_EQ(first.producer, UnitId(0));
  EXPECT_EQ(first.consumers, (std::vector<UnitId>{UnitId(1)}));  // once, though two layers read it
  EXPECT_EQ(first.elements, 32);
  EXPECT_TRUE(first.needs_gradient);
  EXPECT_TRUE(first.is_saved_by_producer);                           // ReLU keeps its output
  EXPECT_EQ(first.is_saved_by_consumer, (std::vector<bool>{true}));  // the convolution keeps its input
  const UnitTensor& second = network.unit_tensors()[1];
  EXPECT_TRUE(second.is_saved_by_producer);
  EXPECT_EQ(second.is_saved_by_consumer, (std::vector<bool>{false}));  // a global mean keeps nothing
}

// stem: the convolution's output (input of batch norm); batch norm's output is overwritten by the ReLU, which leaves.
// b: outputs of conv1 and relu1 (in the place of bn1's); conv2's output and the sum are kept by nobody.
// head: the linear layer keeps the flattened mean, 2 elements.
TEST(Units, SavedTensorsCountOnce) {
  const Network network = build(block_layers());
  EXPECT_EQ(network.unit_costs()[0].saved_elements, 32);
  EXPECT_EQ(network.unit_costs()[1].saved_elements, 64);
  EXPECT_EQ(network.unit_costs()[2].saved_elements, 2);
  EXPECT_TRUE(network.unit_costs()[0].has_batch_norm);
  EXPECT_FALSE(network.unit_costs()[2].has_batch_norm);
}

// Backward is the larger everywhere. Stem: at batch norm, the gradients of its output and of its input, 64, when
// the unit's output, 32, is there no more; at the convolution the gradient of its output, 32, and its input and that
// gradient in the library's layout, 64, when batch norm's input, 32, is gone too. Block, at conv2: the gradients of its
// output and input, 64, its workspace, 64, and the gradient that the sum has left for the block's input, 32, when the
// block's output, 32, is there no more. Head: the gradient of its input, 32, and of flatten's output, 2, when the
// linear layer's input, 2, is there no more.
TEST(Units, TransientPeak) {
  const Network network = build(block_layers());
  constexpr auto kAll = static_cast<std::size_t>(OperandCopies::All);
  EXPECT_EQ(network.unit_costs()[0].backward_peak_elements[kAll], 32);
  EXPECT_EQ(network.unit_costs()[1].backward_peak_elements[kAll], 128);
  EXPECT_EQ(network.unit_costs()[2].backward_peak_elements[kAll], 32);
}

TEST(Units, ReluIsInPlaceOnlyWhereNothingElseNeedsItsInput) {
  const auto in_place = [](std::vector<LayerSpec> layers, const std::string& name) {
    return test::layer(build(std::move(layers)), name).costs.is_in_place;
  };
  const LayerSpec x{"x", Input{{4}}, {}};
  EXPECT_TRUE(in_place({x, {"a", Linear{4}, {"x"}}, {"r", Relu{}, {"a"}}}, "r"));
  EXPECT_FALSE(in_place({x, {"r", Relu{}, {"x"}}, {"a", Linear{4}, {"r"}}}, "r"));  // the network's input
  EXPECT_FALSE(
      in_place({x, {"a", Linear{4}, {"x"}}, {"r", Relu{}, {"a"}}, {"s", Add{}, {"a", "r"}}}, "r"));  // read twice
  EXPECT_FALSE(in_place({x, {"a", Linear{4}, {"x"}}, {"s", Softmax{}, {"a"}}, {"r", Relu{}, {"s"}}}, "r"));
  const std::vector<LayerSpec> cut{x, {"a", Linear{4}, {"x"}}, {"r", Relu{}, {"a"}}};
  EXPECT_FALSE(test::layer(build(cut, Names{"a", "r"}), "r").costs.is_in_place);  // its input comes from another unit
}

// A linear layer behind a view of what comes in keeps what comes in.
TEST(Units, ViewsShareTheirInputsMemory) {
  const Network network =
      build({{"x", Input{{2, 4, 4}}, {}}, {"a", same(2), {"x"}}, {"f", Flatten{}, {"a"}}, {"l", Linear{3}, {"f"}}},
            Names{"a", "l"});
  ASSERT_EQ(network.unit_tensors().size(), 1U);
  EXPECT_FALSE(network.unit_tensors()[0].is_saved_by_producer);
  EXPECT_EQ(network.unit_tensors()[0].is_saved_by_consumer, (std::vector<bool>{true}));
  EXPECT_EQ(network.unit_costs()[1].saved_elements, 0);
}

// Max pooling keeps its input, here the ReLU's output, which is kept already; and 8 bytes for each of 8 outputs.
TEST(Units, StemWithPoolIsOneUnit) {
  auto layers = block_layers();
  layers.erase(layers.begin() + 4, layers.end());
  layers.push_back({"stem.pool", MaxPool{{2, 2}, {}, {}}, {"stem.relu"}});
  layers.push_back({"last", same(2), {"stem.pool"}});
  const Network network = build(layers);
  EXPECT_EQ(unit_names(network), (Names{"stem", "last"}));
  EXPECT_EQ(network.unit_costs()[0].saved_elements, 32 + 32);
  EXPECT_EQ(network.unit_costs()[0].saved_bytes, 64);
  EXPECT_FALSE(network.unit_tensors()[0].is_saved_by_producer);  // the pool's output is kept by its reader only
  EXPECT_EQ(network.unit_tensors()[0].is_saved_by_consumer, (std::vector<bool>{true}));
}

/// A skip over `length` layers between two others: "a", "c0"..., "s".
Names names_with_skip(int length) {
  std::vector<LayerSpec> layers{{"x", Input{{4}}, {}}, {"a", Linear{4}, {"x"}}};
  for (int i = 0; i < length; ++i) layers.push_back({"c" + std::to_string(i), Linear{4}, {layers.back().name}});
  layers.push_back({"s", Add{}, {"a", layers.back().name}});
  layers.push_back({"z", Linear{4}, {"s"}});
  return unit_names(build(std::move(layers)));
}

// Behind layer a one tensor crosses, behind each c two, behind s one. From a to s are length + 1 positions: up to 16
// the skip is short and nothing may be cut inside, beyond it everywhere (s goes with what follows: it has no anchor).
TEST(Units, ShortSkipsAreKeptTogetherLongOnesAreNot) {
  EXPECT_EQ(names_with_skip(2), (Names{"a", "c0", "z"}));
  EXPECT_EQ(names_with_skip(15).size(), 3U);
  const Names apart = names_with_skip(16);
  EXPECT_EQ(apart.size(), 1U + 16U + 1U);
  EXPECT_EQ(apart[1], "c0");
  EXPECT_EQ(apart.back(), "z");
}

TEST(Units, LayersWithoutAnchorGoWithWhatFollowsAndLastWithWhatPrecedes) {
  const Network network = build({{"x", Input{{2, 4, 4}}, {}},
                                 {"p", AdaptiveAveragePool{{2, 2}}, {"x"}},
                                 {"a", same(2), {"p"}},
                                 {"u", Upsample{2}, {"a"}},
                                 {"b", same(2), {"u"}},
                                 {"q", AdaptiveAveragePool{{1, 1}}, {"b"}},
                                 {"f", Flatten{}, {"q"}}});
  EXPECT_EQ(unit_names(network), (Names{"a", "b"}));
  EXPECT_EQ(network.units()[0].end, LayerId(3));
  EXPECT_EQ(network.units()[1].end, LayerId(7));
}

TEST(Units, NamesAreUnique) {
  for (const ZooEntry& entry : network_zoo()) {
    Names names = unit_names(make_zoo_network(entry.name));
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end()) << entry.name;
  }
}

// Block of GPT, T = 4, F = 6, h = 2, TF = 24: the attention half keeps norm's output (input of attention), 3 TF + h T^2
// + TF inside, and a mask; its input, kept by norm, comes in.
TEST(Units, AttentionHalfOfGpt) {
  const Network network = make_zoo_network("gpt:layers=1,hidden=6,heads=2,sequence=4,vocabulary=10");
  const UnitCosts& costs = network.unit_costs()[1];
  EXPECT_EQ(network.units()[1].name, "block1.attention");
  EXPECT_EQ(costs.saved_elements, 24 + 4 * 24 + 2 * 16);
  EXPECT_EQ(costs.saved_bytes, 24 + 8 * 4);
  EXPECT_EQ(network.unit_tensors()[0].is_saved_by_consumer, (std::vector<bool>{true}));
}

}  // namespace
}  // namespace gabra
