// SPDX-License-Identifier: MIT
#include "gabra/network/network_file.hpp"

#include "gabra/core/file.hpp"
#include "gabra/network/zoo.hpp"
#include "make_network.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace gabra {
namespace {

using test::contains;
using test::message_of;

std::string fault(const std::string& text) {
  return message_of([&] { return parse_network(text, "n.json"); });
}

/// A file with these layers.
std::string file(const std::string& layers, const std::string& more = "") {
  return R"({"schema": "gabra/network/1", "name": "n", "layers": [)" + layers + "]" + more + "}";
}

const std::string kInput = R"({"name": "x", "kind": "input", "shape": [4]})";
const std::string kLinear = R"({"name": "y", "kind": "linear", "inputs": ["x"], "out_features": 3})";

TEST(NetworkFile, ReadsWhatItShould) {
  const Network network = parse_network(file(kInput + "," + kLinear), "n.json");
  EXPECT_EQ(network.name(), "n");
  EXPECT_EQ(network.parameters(), 15);
}

TEST(NetworkFile, EveryKindReadsBackIdentically) {
  Convolution convolution;
  convolution.out_channels = 8;
  convolution.kernel = {3, 1};
  convolution.groups = 2;
  convolution.bias = false;
  TransposedConvolution up;
  up.out_channels = 8;
  up.kernel = up.stride = {2, 2};
  Opaque opaque;
  opaque.description = "what \"ever\"";
  opaque.output_bytes = 12;
  opaque.batch = 7;
  opaque.forward = Seconds(0.1 / 3);
  const Network network = test::build({{"x", Input{{4, 9, 9}}, {}},
                                       {"c", convolution, {"x"}},
                                       {"u", up, {"c"}},
                                       {"n", BatchNorm{0.3, 0.7}, {"u"}},
                                       {"r", Relu{}, {"n"}},
                                       {"m", MaxPool{{2, 2}, {}, {1, 1}}, {"r"}},
                                       {"v", AveragePool{{2, 2}, {1, 1}, {}}, {"m"}},
                                       {"e", Upsample{3}, {"v"}},
                                       {"p", PositionAttention{4}, {"e"}},
                                       {"k", Concat{}, {"p", "e"}},
                                       {"g", AdaptiveAveragePool{{2, 3}}, {"k"}},
                                       {"f", Flatten{}, {"g"}},
                                       {"l", Linear{6, false}, {"f"}},
                                       {"ln", LayerNorm{0.1}, {"l"}},
                                       {"ge", Gelu{}, {"ln"}},
                                       {"d", Dropout{0.25}, {"ge"}},
                                       {"s", Softmax{}, {"d"}},
                                       {"t", Input{{5}, true}, {}},
                                       {"em", Embedding{11, 6, 8}, {"t"}},
                                       {"ca", CausalAttention{3}, {"em"}},
                                       {"ad", Add{}, {"ca", "em"}},
                                       {"o", opaque, {"ad", "s"}}});
  const std::string text = to_json_text(network);
  const Network again = parse_network(text, "again");
  EXPECT_EQ(to_json_text(again), text);
  EXPECT_EQ(again.fingerprint(), network.fingerprint());
}

TEST(NetworkFile, Faults) {
  const struct {
    std::string text;
    const char* part;
  } cases[] = {
      {"", "n.json: line 1"},
      {"{", "the end of the file"},
      {file(kInput + "," + kLinear).substr(0, 90), "the end of the file"},
      {"null", "saw null; allowed: an object"},
      {"[]", "a list of 0"},
      {"{}", "$.schema: saw no such field"},
      {R"({"schema": "gabra/plan/1", "name": "n", "layers": []})", "\"gabra/network/1\""},
      {R"({"schema": "gabra/network/1", "name": 3, "layers": []})", "$.name: saw the number 3"},
      {R"({"schema": "gabra/network/1", "name": "n", "layers": {}})", "$.layers: saw an object of 0 fields"},
      {file(""), "$.layers: saw no layer"},
      {file(kInput), "input layers only"},
      {file("3"), "$.layers[0]: saw the number 3"},
      {file(kInput + "," + kLinear, R"(, "colour": 1)"), "$.colour: saw an unknown field"},
      {file(kInput + R"(,{"name": "y", "kind": "linear", "inputs": ["x"]})"), "$.layers[1].out_features: saw no such"},
      {file(kInput + R"(,{"name": "y", "kind": "relu", "inputs": ["x"], "bias": true})"),
       "$.layers[1].bias: saw an unk"},
      {file(kInput + R"(,{"name": "y", "kind": "linaer", "inputs": ["x"]})"),
       "$.layers[1].kind: saw the text \"linaer\""},
      {file(kInput + R"(,{"kind": "relu", "inputs": ["x"]})"), "$.layers[1].name: saw no such field"},
      {file(kInput + R"(,{"name": "y", "kind": "relu", "inputs": "x"})"), "$.layers[1].inputs: saw the text \"x\""},
      {file(kInput + R"(,{"name": "y", "kind": "relu", "inputs": [1]})"), "$.layers[1].inputs[0]: saw the number 1"},
      {file(kInput + R"(,{"name": "y", "kind": "relu", "inputs": ["z"]})"), "$.layers[1].inputs[0]: saw the unknown"},
      {file(kInput + R"(,{"name": "x", "kind": "relu", "inputs": ["x"]})"),
       "$.layers[1].name: saw the name \"x\" again"},
      {file(kInput + R"(,{"name": "y", "kind": "linear", "inputs": ["x"], "out_features": 1.5})"), "the number 1.5"},
      {file(kInput + R"(,{"name": "y", "kind": "linear", "inputs": ["x"], "out_features": -1})"), "the number -1"},
      {file(kInput + R"(,{"name": "y", "kind": "linear", "inputs": ["x"], "out_features": 99999999999999999999})"),
       "$.layers[1].out_features"},
      {file(kInput + R"(,{"name": "y", "kind": "linear", "inputs": ["x"], "out_features": 68719476736})"),
       "$.layers[1]: saw a layer that is too large"},
      {file(kInput + R"(,{"name": "y", "kind": "dropout", "inputs": ["x"], "probability": 1e999})"), "$.layers[1]"},
      {file(kInput + R"(,{"name": "y", "kind": "add", "inputs": ["x", "y"]})"), "a cycle through \"y\""},
      {file(kInput + "," + kLinear + R"(,{"name": "z", "kind": "relu", "inputs": ["x"]})"), "2 layers that no other"},
      {file(kInput + "," + kLinear, R"(, "unit_ends": ["q"])"), "$.unit_ends[0]: saw the unknown layer \"q\""},
      {file(kInput + "," + kLinear, R"(, "unit_ends": [])"), "$.unit_ends[0]: saw units that end before"},
      {file(kInput + "," + kLinear, R"(, "unit_ends": 3)"), "$.unit_ends: saw the number 3"},
      {file(R"({"name": "o", "kind": "opaque", "output_bytes": 4, "forward": 3, "backward": "1 ms"})"),
       "$.layers[0].forward: saw the number 3; allowed: a text with a unit"},
      {file(R"({"name": "o", "kind": "opaque", "output_bytes": 4, "forward": "3", "backward": "1 GB"})"),
       "$.layers[0].backward"},
      {file(R"({"name": "o", "name": "o", "kind": "opaque"})"), "the field twice"},
      {std::string(100'000, '['), "nesting"},
      {"\xff\xfe", "n.json: line 1"},
  };
  for (const auto& [text, part] : cases) EXPECT_TRUE(contains(fault(text), part)) << text << "\n" << fault(text);
}

TEST(NetworkFile, AllFaultsAtOnce) {
  const std::string text =
      fault(R"({"schema": "gabra/network/2", "colour": 1, "layers": [{"name": "x", "kind": "input", "shape": [4]},
      {"name": "y", "kind": "linear", "inputs": ["nowhere"], "out_features": "many"},
      {"name": "x", "kind": "dropout", "inputs": ["x"], "probability": 2}]})");
  for (const char* part : {"$.schema", "$.colour", "$.name", "$.layers[1].out_features", "$.layers[1].inputs[0]",
                           "$.layers[2].name", "$.layers[2].probability"})
    EXPECT_TRUE(contains(text, part)) << part << " in:\n" << text;
}

TEST(LoadNetwork, TellsFilesApartByContent) {
  const auto folder = std::filesystem::temp_directory_path() / "gabra_load_network_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "network").string();
  write_file_atomically(path, file(kInput + "," + kLinear));
  EXPECT_EQ(load_network(path).name(), "n");
  write_file_atomically(path,
                        "node1 -- Thing -- forward_compute_time=1, backward_compute_time=2, activation_size=256, "
                        "parameter_size=4\n");
  EXPECT_TRUE(load_network(path).has_opaque_layers());
  write_file_atomically(path, std::string("\x08\x07\x12", 3));
  EXPECT_TRUE(contains(message_of([&] { return load_network(path); }), "a file that starts with \"\\x08\\x07\\x12\""));
  write_file_atomically(path, "");
  EXPECT_TRUE(contains(message_of([&] { return load_network(path); }), path));
  EXPECT_TRUE(contains(message_of([&] { return load_network(folder.string()); }), folder.string()));
  std::filesystem::remove_all(folder);
  EXPECT_TRUE(contains(message_of([&] { return load_network(path); }), "neither a built-in network nor a file"));
  EXPECT_TRUE(contains(message_of([&] { return load_network("resnet-51"); }), "did you mean \"resnet-50\"?"));
  EXPECT_EQ(load_network("resnet-18:width=8").layers()[1].output[0], 8);
}

}  // namespace
}  // namespace gabra
