// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"
#include "gabra/network/network_file.hpp"
#include "make_network.hpp"

#include <gtest/gtest.h>

#include <set>

namespace gabra {
namespace {

/// A random residual network on 4 channels of 6x6: convolutions, batch norms, ReLUs, attention, and additions of any
/// earlier tensors, so that skips of every length cross. Layers that nothing would read are added up at the end.
std::vector<LayerSpec> random_layers(Rng& rng) {
  std::vector<LayerSpec> layers{{"x", Input{{4, 6, 6}}, {}}};
  std::set<std::string> unread;
  const auto any = [&] { return layers[rng.below(layers.size())].name; };
  const auto add = [&](const LayerAttributes& attributes, const std::vector<std::string>& inputs) {
    for (const std::string& input : inputs) unread.erase(input);
    layers.push_back({"l" + std::to_string(layers.size()), attributes, inputs});
    unread.insert(layers.back().name);
  };
  const std::int64_t count = rng.between(1, 60);
  for (std::int64_t i = 0; i < count; ++i) {
    Convolution convolution;
    convolution.out_channels = 4;
    convolution.kernel = {3, 3};
    convolution.padding = {1, 1};
    const std::string before = rng.chance(0.8) ? layers.back().name : any();
    const std::uint64_t kind = rng.below(6);
    if (kind < 2) add(convolution, {before});
    if (kind == 2) add(BatchNorm{}, {before});
    if (kind == 3) add(Relu{}, {before});
    if (kind == 4) add(PositionAttention{4}, {before});
    if (kind == 5) add(Add{}, {before, any()});
  }
  unread.erase("x");
  if (unread.size() > 1 || unread.empty()) {
    std::vector<std::string> inputs(unread.begin(), unread.end());
    while (inputs.size() < 2) inputs.emplace_back("x");
    add(Add{}, inputs);
  }
  return layers;
}

/// Cuts anywhere, instead of by the rule.
std::vector<std::string> random_ends(const Network& network, Rng& rng) {
  std::vector<std::string> ends;
  for (const Layer& layer : network.layers().subspan(1))
    if (&layer == &network.layers().back() || rng.chance(0.3)) ends.push_back(layer.name);
  return ends;
}

void expect_units_cover_layers(const Network& network) {
  std::size_t next = 1;  // behind the only input
  for (const Unit& unit : network.units()) {
    EXPECT_EQ(unit.first.index(), next);
    EXPECT_LT(unit.first, unit.end);
    next = unit.end.index();
  }
  EXPECT_EQ(next, network.layers().size());
}

void expect_sums_agree(const Network& network) {
  UnitCosts layers, units;
  for (const Layer& layer : network.layers()) {
    layers.forward_flops += layer.costs.forward_flops;
    layers.backward_flops += layer.costs.backward_flops;
    layers.parameters += layer.costs.parameters;
    layers.buffers += layer.costs.buffers;
    layers.saved_bytes += layer.costs.saved_internal_bytes;
  }
  for (const UnitCosts& unit : network.unit_costs()) {
    units.forward_flops += unit.forward_flops;
    units.backward_flops += unit.backward_flops;
    units.parameters += unit.parameters;
    units.buffers += unit.buffers;
    units.saved_bytes += unit.saved_bytes;
  }
  EXPECT_EQ(units.forward_flops, layers.forward_flops);
  EXPECT_EQ(units.backward_flops, layers.backward_flops);
  EXPECT_EQ(units.parameters, layers.parameters);
  EXPECT_EQ(units.parameters, network.parameters());
  EXPECT_EQ(units.buffers, layers.buffers);
  EXPECT_EQ(units.saved_bytes, layers.saved_bytes);
}

/// Edges between units, found from the layers alone, are exactly those of the tensors.
void expect_tensors_are_the_edges(const Network& network) {
  std::vector<std::int32_t> unit_of(network.layers().size(), -1);
  for (std::size_t u = 0; u < network.unit_count(); ++u)
    for (auto i = network.units()[u].first.index(); i < network.units()[u].end.index(); ++i)
      unit_of[i] = static_cast<std::int32_t>(u);
  std::set<std::pair<std::size_t, std::int32_t>> edges, stated;  // layer, reading unit
  for (std::size_t i = 0; i < network.layers().size(); ++i)
    for (const LayerId input : network.layers()[i].inputs)
      if (unit_of[input.index()] >= 0 && unit_of[input.index()] != unit_of[i]) edges.emplace(input.index(), unit_of[i]);
  for (const UnitTensor& tensor : network.unit_tensors()) {
    EXPECT_EQ(tensor.producer.value(), unit_of[tensor.layer.index()]);
    EXPECT_EQ(tensor.elements, 4 * 6 * 6);
    EXPECT_EQ(tensor.is_saved_by_consumer.size(), tensor.consumers.size());
    for (const UnitId consumer : tensor.consumers) {
      EXPECT_LT(tensor.producer, consumer);
      EXPECT_TRUE(stated.emplace(tensor.layer.index(), consumer.value()).second);
    }
  }
  EXPECT_EQ(stated, edges);
}

/// What one unit of everything saves is at most what the parts save: memory is shared inside units only.
std::int64_t saved_in_all(const Network& network) {
  std::int64_t total = 0;
  for (const UnitCosts& unit : network.unit_costs()) total += unit.saved_elements;
  for (const UnitTensor& tensor : network.unit_tensors()) {
    bool is_saved = tensor.is_saved_by_producer;
    for (const bool by_consumer : tensor.is_saved_by_consumer) is_saved = is_saved || by_consumer;
    if (is_saved) total += tensor.elements;
  }
  return total;
}

TEST(NetworkProperty, RandomResidualNetworks) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const std::vector<LayerSpec> layers = random_layers(rng);
    const Network by_rule = test::build(layers);
    const Network at_random = test::build(layers, random_ends(by_rule, rng));
    const Network whole = test::build(layers, std::vector{layers.back().name});
    for (const Network* network : {&by_rule, &at_random, &whole}) {
      expect_units_cover_layers(*network);
      expect_sums_agree(*network);
      expect_tensors_are_the_edges(*network);
    }
    EXPECT_LE(saved_in_all(whole), saved_in_all(by_rule));
    EXPECT_LE(saved_in_all(whole), saved_in_all(at_random));
    const std::string text = to_json_text(at_random);
    EXPECT_EQ(to_json_text(parse_network(text, "again")), text);
    if (testing::Test::HasFailure()) break;
  }
}

// Any order of declaration gives the same network up to the order of layers.
TEST(NetworkProperty, OrderOfDeclarationChangesNoCosts) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    std::vector<LayerSpec> layers = random_layers(rng);
    const Network network = test::build(layers);
    rng.shuffle(std::span(layers));
    const Network shuffled = test::build(layers);
    for (const Layer& layer : network.layers()) {
      const Layer& same = test::layer(shuffled, layer.name);
      EXPECT_EQ(same.output, layer.output) << seed;
      EXPECT_EQ(same.costs.forward_flops, layer.costs.forward_flops) << seed;
      EXPECT_EQ(same.costs.backward_flops, layer.costs.backward_flops) << seed;
    }
    for (std::size_t i = 0; i < shuffled.layers().size(); ++i)
      for (const LayerId input : shuffled.layers()[i].inputs) EXPECT_LT(input.index(), i) << seed;
  }
}

}  // namespace
}  // namespace gabra
