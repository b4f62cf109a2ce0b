// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace gabra {
namespace {

constexpr const char* kVtrain =
    "size(B),count,type,time(ns),busbw(GB/s),time(ns),busbw(GB/s)\n"
    "1048576,262144,float,92790,19.78,92150,19.91\n"
    "2097152,524288,float,93250,39.36,92970,39.47\n";

template <class Read>
std::vector<Fault> faults_of(Read read) {
  try {
    (void)read();
  } catch (const InputError& error) {
    return error.faults();
  }
  return {};
}

TEST(Tables, NumberOfDevicesFollowsFromBandwidths) {
  EXPECT_EQ(recognise_table(kVtrain, "t"), TableKind::VtrainAllReduce);
  const CommunicationTable table = parse_vtrain_all_reduce(kVtrain, "t");
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.place, "t:1");
  // 19.78 GB/s x 92,790 ns / 1,048,576 B = 1.7504 = 2 x 7/8.
  EXPECT_EQ(table.devices, 8);
  EXPECT_TRUE(table.ranks.empty());
  EXPECT_NEAR(table.rows[1].seconds.value(), 93250e-9, 1e-15);
}

TEST(Tables, FaultsNameTheirLines) {
  const auto faults = faults_of(
      [] { return parse_vtrain_all_reduce(std::string(kVtrain) + "nonsense,1,float,-5,zero\n12,3\n", "t.txt"); });
  ASSERT_EQ(faults.size(), 5U);
  EXPECT_EQ(faults[0].where, "t.txt:4");
  EXPECT_EQ(faults[0].seen, "\"nonsense\"");
  EXPECT_EQ(faults[3].where, "t.txt:5");
  // Twice the time of what its bandwidth says.
  const auto twice = faults_of(
      [] { return parse_vtrain_all_reduce(std::string(kVtrain) + "4194304,1048576,float,200000,73.40,1,1\n", "t"); });
  ASSERT_EQ(twice.size(), 1U);
  EXPECT_EQ(twice[0].where, "t:4");
  EXPECT_FALSE(faults_of([] { return parse_vtrain_all_reduce(std::string(kVtrain).substr(0, 61), "t"); }).empty());
  EXPECT_FALSE(faults_of([] { return recognise_table("hello", "t"); }).empty());
  EXPECT_FALSE(faults_of([] { return recognise_table("", "t"); }).empty());
}

TEST(Tables, IterationsOfVtrainAreRecognised) {
  EXPECT_EQ(recognise_table("# GPUs,global batch,micro batch,hidden size,attention heads,# layers,sequence length,"
                            "tensor parallelism,data parallelism,pipeline parallelism,iteration time (ms)\n"
                            "2,16,8,1024,16,24,1024,1,1,2,372.160408\n",
                            "t"),
            TableKind::VtrainIterations);
}

TEST(Tables, LayersOfAPipedreamGraph) {
  const Network network = parse_pipedream_profile(
      "node1 -- Input0 -- forward_compute_time=0.0, backward_compute_time=0.0, activation_size=38535168.0, "
      "parameter_size=0.0\n"
      "node2 -- Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) -- forward_compute_time=2.0, "
      "backward_compute_time=4.0, activation_size=822083584.0, parameter_size=7168.0\n"
      "node3 -- ReLU(inplace) -- forward_compute_time=1.0, backward_compute_time=1.5, activation_size=822083584.0, "
      "parameter_size=0.0\n"
      "node4 -- Dropout(p=0.5) -- forward_compute_time=0.5, backward_compute_time=0.25, activation_size=822083584.0, "
      "parameter_size=0.0\n"
      "\tnode1 -- node2\n\tnode2 -- node3\n\tnode3 -- node4\n",
      "graph.txt", 64);
  const LayerTable table = layers_of_pipedream(network);
  EXPECT_EQ(table.batch, 64);
  EXPECT_EQ(table.name, "graph.txt");
  ASSERT_EQ(table.times.size(), 3U);
  EXPECT_NEAR(table.times[0].sample.forward.value(), 2e-3, 1e-12);
  ASSERT_EQ(table.work.size(), 4U);
  // 64 images of 64 x 224 x 224 outputs, each 3 x 3 x 3 products and sums.
  EXPECT_NEAR(table.work[0].flops.value(), 2.0 * 64 * 64 * 224 * 224 * 27, 1e3);
  EXPECT_EQ(table.work[2].compute_class, ComputeClass::Elementwise);
  // Read and written.
  EXPECT_NEAR(table.work[2].bytes, 2.0 * 822083584.0, 1e3);
  // Its time is known, what work it is is not.
  ASSERT_EQ(table.unknown.size(), 1U);
  EXPECT_EQ(table.unknown.at("Dropout").layers, 1U);
  EXPECT_NEAR(table.unknown.at("Dropout").seconds.value(), 0.75e-3, 1e-12);
}

TEST(Tables, OfOthersMeasurements) {
  const std::string folder = std::string(GABRA_DATA_DIR);
  if (folder.empty()) GTEST_SKIP() << "GABRA_DATA_DIR is not set";
  const std::string path = folder + "/vtrain_allreduce/v100_4gpu.txt";
  const CommunicationTable table = parse_vtrain_all_reduce(read_file(path), path);
  EXPECT_EQ(table.rows.size(), 1024U);
  EXPECT_EQ(table.devices, 4);
  const std::string graph = folder + "/pipedream_profiles/vgg16.txt";
  EXPECT_EQ(recognise_table(read_file(graph), graph), TableKind::PipedreamProfile);
  EXPECT_GT(layers_of_pipedream(parse_pipedream_profile(read_file(graph), graph)).work.size(), 50U);
  const std::string runs = folder + "/vtrain_iterations/gpt_a100_2gpu.csv";
  EXPECT_EQ(recognise_table(read_file(runs), runs), TableKind::VtrainIterations);
}

}  // namespace
}  // namespace gabra
