// SPDX-License-Identifier: MIT
#include "onnx_graph.hpp"

#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/zoo.hpp"
#include "make_network.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace gabra {
namespace {

using test::contains;
using test::layer;
using test::layer_names;
using test::message_of;

using Names = std::vector<std::string>;

/// x of 2x8x8 -> conv to 4 channels -> the nodes given.
OnnxGraph graph_with(std::vector<OnnxNode> nodes) {
  OnnxGraph graph;
  graph.name = "g";
  graph.inputs = {{"x", {-1, 2, 8, 8}}};
  graph.constants = {{"w", {{4, 2, 3, 3}, {}}},
                     {"b", {{4}, {}}},
                     {"v", {{4, 3, 2, 2}, {}}},
                     {"m", {{64, 5}, {}}},
                     {"mt", {{5, 64}, {}}},
                     {"mb", {{5}, {}}},
                     {"flat", {{2}, {0.0, -1.0}}},
                     {"one", {{}, {0.25}}},
                     {"scales", {{4}, {1.0, 1.0, 2.0, 2.0}}},
                     {"skew", {{4}, {1.0, 1.0, 2.0, 3.0}}}};
  graph.nodes = {{"Conv", {"x", "w", "b"}, {"c"}, {}, {}, {}, {{"pads", {1, 1, 1, 1}}, {"strides", {2, 2}}}}};
  graph.nodes.insert(graph.nodes.end(), nodes.begin(), nodes.end());
  return graph;
}

OnnxNode node(const std::string& op, const Names& inputs, const std::string& output) {
  return {op, inputs, {output}, {}, {}, {}, {}};
}

Network mapped(const OnnxGraph& graph) { return network_of_onnx(graph, "m.onnx"); }
std::string fault(const OnnxGraph& graph) {
  return message_of([&] { return mapped(graph); });
}

// 8x8 with padding 1, kernel 3, stride 2: 4x4; weights 4*2*9 + 4.
TEST(Onnx, Convolution) {
  const Network network = mapped(graph_with({}));
  EXPECT_EQ(network.name(), "g");
  EXPECT_EQ(layer_names(network), (Names{"x", "c"}));
  EXPECT_EQ(layer(network, "c").output, (Shape{4, 4, 4}));
  EXPECT_EQ(network.parameters(), 76);
}

TEST(Onnx, OtherOperators) {
  OnnxNode norm = node("BatchNormalization", {"c", "b", "b", "b", "b"}, "n");
  norm.numbers = {{"epsilon", 0.5}, {"momentum", 0.75}};
  OnnxNode pool = node("MaxPool", {"r"}, "p");
  pool.lists = {{"kernel_shape", {3, 3}}};
  OnnxNode up = node("Resize", {"p", "", "scales"}, "u");
  up.texts = {{"mode", "nearest"}};
  OnnxNode transposed = node("ConvTranspose", {"u", "v"}, "t");
  transposed.lists = {{"strides", {2, 2}}};
  const Network network = mapped(
      graph_with({norm, node("Relu", {"n"}, "r"), pool, up, transposed, node("Concat", {"t", "t"}, "k"),
                  node("GlobalAveragePool", {"k"}, "g"), node("Reshape", {"g", "flat"}, "f"),
                  node("Dropout", {"f", "one"}, "d"), node("Identity", {"d"}, "i"), node("Softmax", {"i"}, "s")}));
  EXPECT_DOUBLE_EQ(std::get<BatchNorm>(layer(network, "n").attributes).epsilon, 0.5);
  EXPECT_DOUBLE_EQ(std::get<BatchNorm>(layer(network, "n").attributes).momentum, 0.25);  // ONNX weights the old value
  EXPECT_EQ(layer(network, "p").output, (Shape{4, 2, 2}));                               // ONNX's stride is 1
  EXPECT_EQ(layer(network, "u").output, (Shape{4, 4, 4}));
  EXPECT_EQ(layer(network, "t").output, (Shape{3, 8, 8}));
  EXPECT_EQ(layer(network, "k").output, (Shape{6, 8, 8}));
  EXPECT_EQ(layer(network, "f").output, (Shape{6}));
  EXPECT_DOUBLE_EQ(std::get<Dropout>(layer(network, "d").attributes).probability, 0.25);
  const LayerId before = layer(network, "s").inputs[0];  // through the identity
  EXPECT_EQ(network.layer(before).name, "d");
}

TEST(Onnx, LinearLayers) {
  OnnxNode gemm = node("Gemm", {"f", "mt", "mb"}, "y");
  gemm.integers = {{"transB", 1}};
  EXPECT_EQ(mapped(graph_with({node("Flatten", {"c"}, "f"), gemm})).parameters(), 76 + 64 * 5 + 5);
  EXPECT_EQ(mapped(graph_with({node("Flatten", {"c"}, "f"), node("MatMul", {"f", "m"}, "y")})).parameters(),
            76 + 64 * 5);
  const Network with_bias = mapped(graph_with({node("Flatten", {"c"}, "f"), node("MatMul", {"f", "m"}, "y"),
                                               node("Add", {"mb", "y"}, "z"), node("Relu", {"z"}, "r")}));
  EXPECT_EQ(with_bias.parameters(), 76 + 64 * 5 + 5);
  EXPECT_EQ(layer_names(with_bias), (Names{"x", "c", "f", "y", "r"}));
}

TEST(Onnx, FaultsNameOperatorsAndAttributes) {
  OnnxNode uneven = node("MaxPool", {"c"}, "p");
  uneven.lists = {{"kernel_shape", {2, 2}}, {"pads", {0, 0, 1, 1}}};
  OnnxNode ceiling = node("AveragePool", {"c"}, "p");
  ceiling.lists = {{"kernel_shape", {2, 2}}};
  ceiling.integers = {{"ceil_mode", 1}};
  const struct {
    std::vector<OnnxNode> nodes;
    const char* part;
  } cases[] = {
      {{node("LRN", {"c"}, "l")}, "m.onnx: node 1 \"l\": saw the operator \"LRN\""},
      {{node("LSTM", {"c"}, "l"), node("Erf", {"l"}, "e")}, "node 2 \"e\": saw the operator \"Erf\""},
      {{uneven}, "MaxPool with different padding on two sides"},
      {{ceiling}, "AveragePool with ceil_mode"},
      {{node("Conv", {"c", "x"}, "d")}, "saw input 1 of Conv; allowed: a constant weight"},
      {{node("Relu", {"q"}, "d")}, "the unknown tensor \"q\""},
      {{node("Add", {"c", "b"}, "d")}, "Add with a constant"},
      {{node("Reshape", {"c", "scales"}, "d")}, "Reshape with a shape that is not"},
      {{node("Resize", {"c", "", "skew"}, "d")}, "not one whole factor"},
      {{node("Flatten", {"c"}, "f"), node("MatMul", {"f", "mt"}, "y")},
       "a weight for 5 channels; allowed: 64 channels"},
      {{node("Relu", {}, "d")}, "Relu without inputs"},
      {{node("Relu", {"c"}, "c2"), node("Relu", {"c"}, "c3")}, "2 layers that no other reads"},
  };
  for (const auto& [nodes, part] : cases) {
    const std::string message = fault(graph_with(nodes));
    EXPECT_TRUE(contains(message, part)) << part << " in:\n" << message;
  }
  OnnxGraph open = graph_with({});
  open.inputs[0].shape = {-1, 2, -1, 8};
  EXPECT_TRUE(contains(fault(open), "input \"x\": saw the shape -1x2x-1x8"));
}

TEST(Onnx, AllFaultsAtOnce) {
  const std::string message = fault(graph_with({node("LRN", {"c"}, "l"), node("Mul", {"l", "c"}, "m")}));
  EXPECT_TRUE(contains(message, "\"LRN\"") && contains(message, "\"Mul\"")) << message;
}

#ifdef GABRA_WITH_ONNX
/// Made with Python's onnx package: Conv(1 -> 2, 1x1, bias), Relu, MaxPool(2), GlobalAveragePool, Flatten, Gemm(2 ->
/// 3).
constexpr std::string_view kModel =
    "08083aea020a2a0a01780a0263770a0263621204636f6e762204436f6e762a110a04706164734000400040004000a001070a"
    "120a04636f6e76120472656c75220452656c750a3e0a0472656c751204706f6f6c22074d6178506f6f6c2a150a0c6b65726e"
    "656c5f736861706540024002a001072a100a077374726964657340024002a001070a1f0a04706f6f6c12046d65616e221147"
    "6c6f62616c41766572616765506f6f6c0a150a046d65616e1204666c61742207466c617474656e0a220a04666c61740a0267"
    "77120179220447656d6d2a0d0a067472616e73421801a00102120474696e792a1808020801080108011001420263774a0800"
    "000000000000002a1208021001420263624a0800000000000000002a24080308021001420267774a18000000000000000000"
    "0000000000000000000000000000005a1c0a017812170a15080112110a0312014e0a0208010a0208080a02080862140a0179"
    "120f0a0d080112090a0312014e0a02080342040a00100d";

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

TEST(Onnx, ModelFilesAreRead) {
  const auto path = std::filesystem::temp_directory_path() / "gabra_onnx_test.onnx";
  write_file_atomically(path.string(), bytes_of(kModel));
  const Network network = load_network(path.string());
  std::filesystem::remove(path);
  EXPECT_EQ(network.name(), "tiny");
  EXPECT_EQ(layer_names(network), (Names{"x", "conv", "relu", "pool", "mean", "flat", "y"}));
  EXPECT_EQ(network.parameters(), 2 + 2 + 6);
  EXPECT_EQ(layer(network, "pool").output, (Shape{2, 4, 4}));
  EXPECT_EQ(to_json_text(parse_network(to_json_text(network), "again")), to_json_text(network));
}

TEST(Onnx, DamagedModelsAreRefused) {
  const std::string bytes = bytes_of(kModel);
  const std::size_t graph_end = bytes.size() - 6;  // behind it is the number of the operator set
  for (std::size_t size = 0; size < graph_end; ++size) {
    const auto graph = decode_onnx(bytes.substr(0, size));
    EXPECT_TRUE(!graph || !message_of([&] { return mapped(*graph); }).empty()) << size;
  }
}
#endif

}  // namespace
}  // namespace gabra
