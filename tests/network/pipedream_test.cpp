// SPDX-License-Identifier: MIT
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

std::string node(int number, const std::string& description, const std::string& activation = "256.0") {
  return "node" + std::to_string(number) + " -- " + description +
         " -- forward_compute_time=1.5, backward_compute_time=3.000, activation_size=" + activation +
         ", parameter_size=400.000\n";
}

std::string idle(int number, const std::string& description, const std::string& activation) {
  return "node" + std::to_string(number) + " -- " + description +
         " -- forward_compute_time=0.000, backward_compute_time=0.000, activation_size=" + activation +
         ", parameter_size=0.000\n";
}

TEST(Pipedream, NodesBecomeOpaqueLayers) {
  const std::string text = node(10, "Linear") + node(2, "Conv2d(3, 64)", "[1024.0; 256.0]") +
                           node(1, "Input", "77070336.0") + "\tnode1 -- node2\n\tnode2 -- node10\n";
  const Network network = parse_pipedream_profile(text, "p.txt", 64);
  EXPECT_EQ(layer_names(network), (Names{"node2", "node10"}));
  const auto& opaque = std::get<Opaque>(layer(network, "node2").attributes);
  EXPECT_EQ(opaque.description, "Conv2d(3, 64)");
  EXPECT_EQ(opaque.output_bytes, (1024 + 256) / 64);  // of one sample
  EXPECT_EQ(opaque.saved_bytes, opaque.output_bytes);
  EXPECT_EQ(opaque.parameter_bytes, 400);
  EXPECT_DOUBLE_EQ(opaque.forward.value(), 1.5e-3);  // of the batch
  EXPECT_DOUBLE_EQ(layer(network, "node2").costs.measured_backward->value(), 3e-3 / 64);
  EXPECT_EQ(network.input_elements(), 0);
}

TEST(Pipedream, LeavesOutWhatCarriesNothing) {
  const std::string text = node(1, "Input0") + idle(2, "hidden", "0.0") + idle(3, "__getitem__(0)", "0.0") +
                           node(4, "LSTM(8, 8)", "[640.0; 64.0]") + idle(5, "__getitem__(0)", "640.0") +
                           idle(6, "__getitem__(1)", "64.0") + node(7, "Linear(in_features=8, out_features=4)") +
                           "\tnode1 -- node4\n\tnode2 -- node3\n\tnode3 -- node4\n\tnode4 -- node5\n\tnode4 -- node6\n"
                           "\tnode5 -- node7\n";
  const Network network = parse_pipedream_profile(text, "p.txt");
  EXPECT_EQ(layer_names(network), (Names{"node4", "node5", "node7"}));
  // The state of an LSTM with 8 features takes 32 bytes a sample: 64 bytes are two samples.
  EXPECT_EQ(std::get<Opaque>(layer(network, "node4").attributes).batch, 2);
}

TEST(Pipedream, SeveralOutputsAreJoined) {
  const std::string text =
      node(1, "Conv2d") + node(2, "Linear") + node(3, "Linear") + "\tnode1 -- node2\n\tnode1 -- node3\n";
  const Network network = parse_pipedream_profile(text, "p.txt");
  EXPECT_EQ(layer_names(network), (Names{"node1", "node2", "node3", "outputs"}));
  EXPECT_EQ(layer(network, "outputs").costs.parameters, 0);
}

TEST(Pipedream, InPlaceLayersAndViewsKeepNothing) {
  const std::string text = node(1, "Conv2d") + idle(2, "ReLU(inplace)", "256.0") + idle(3, "View(9216)", "256.0") +
                           "\tnode1 -- node2\n\tnode2 -- node3\n";
  const Network network = parse_pipedream_profile(text, "p.txt", 64);
  EXPECT_EQ(layer(network, "node1").costs.saved_internal_bytes, 4);
  EXPECT_EQ(layer(network, "node2").costs.saved_internal_bytes, 0);
  EXPECT_EQ(layer(network, "node3").costs.saved_internal_bytes, 0);
  EXPECT_EQ(network.unit_count(), 1U);
}

TEST(Pipedream, FaultsWithTheirLines) {
  const std::string good = node(1, "Conv2d");
  const struct {
    std::string text;
    const char* part;
  } cases[] = {
      {"", "p.txt: saw no layer"},
      {node(1, "Input"), "p.txt: saw no layer"},
      {good + "nonsense\n", "p.txt: line 2: saw \"nonsense\""},
      {good + node(1, "Linear"), "line 2: saw the node \"node1\" again"},
      {good + "\n\tnode1 -- node2\n", "line 3: saw the unknown node \"node2\""},
      {good + node(2, "Linear") + "\tnode1 -- node2\n\tnode1 -- node2\n", "line 4: saw the edge from node1 to node2"},
      {good + node(2, "Linear") + "\tnode1 -- node2\n\tnode2 -- node1\n", "a cycle through"},
      {"layer1 -- Conv2d -- forward_compute_time=1\n", "line 1: saw \"layer1\""},
      {"node1 -- Conv2d -- forward_compute_time=1, forward_compute_time=1\n", "line 1: saw \"forward_compute_time=1\""},
      {"node1 -- Conv2d -- forward_compute_time=1\n", "line 1: saw no activation_size"},
      {"node1 -- Conv2d -- forward_compute_time=1\n", "line 1: saw no parameter_size"},
      {"node1 -- Conv2d -- forward_compute_time=-1\n", "line 1: saw \"-1\""},
      {"node1 -- Conv2d -- forward_compute_time=nan\n", "line 1: saw \"nan\""},
      {"node1 -- Conv2d -- forward_compute_time=1e99\n", "line 1: saw \"1e99\""},
      {"node1 -- Conv2d -- forward_compute_time=[1; 2]\n", "line 1: saw \"[1; 2]\""},
      {node(1, "Conv2d", "[1; x]"), "line 1: saw \"[1; x]\""},
      {node(1, "Conv2d", "[1; 2"), "line 1: saw \"[1; 2\""},
      {node(1, "Conv2d", "1; 2"), "line 1: saw \"1; 2\""},
      {node(1, "Conv2d", "[]"), "line 1: saw \"[]\""},
      {node(1, "Conv\x01"), "line 1"},
  };
  for (const auto& each : cases) {
    const std::string message = message_of([&] { return parse_pipedream_profile(each.text, "p.txt"); });
    EXPECT_TRUE(contains(message, each.part)) << each.text << "\n" << message;
  }
}

/// The published profiles: layers left after dropping inputs and unread parts, units (for ResNets, VGG and AlexNet as
/// many as the zoo's networks of these names have), parameters (torchvision's counts, where
/// it has the network), and the batch their sizes imply.
struct Published {
  const char* file;
  std::size_t layers, units;
  std::int64_t parameters;
  std::int64_t batch;
};
constexpr Published kPublished[] = {
    {"alexnet", 22, 8, 61'100'840, 256},        {"gnmt", 32, 7, 193'765'952, 32},
    {"inception_v3", 326, 93, 27'161'264, 128}, {"resnet101", 346, 35, 44'549'160, 64},
    {"resnet50", 176, 18, 25'557'032, 128},     {"resnext50", 176, 18, 25'028'904, 128},
    {"squeezenet1_0", 67, 18, 1'248'424, 256},  {"vgg16", 40, 16, 138'357'544, 128},
};

TEST(Pipedream, PublishedProfiles) {
  const std::string folder = std::string(GABRA_DATA_DIR) + "/pipedream_profiles/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  for (const Published& published : kPublished) {
    const Network network = load_network(folder + published.file + ".txt");
    EXPECT_EQ(network.layers().size(), published.layers) << published.file;
    EXPECT_EQ(network.parameters(), published.parameters) << published.file;
    EXPECT_EQ(std::get<Opaque>(network.layers()[0].attributes).batch, published.batch) << published.file;
    EXPECT_EQ(network.unit_count(), published.units) << published.file;
    const std::string text = to_json_text(network);
    EXPECT_EQ(to_json_text(parse_network(text, "again")), text) << published.file;
  }
}

}  // namespace
}  // namespace gabra
