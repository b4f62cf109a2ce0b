// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace gabra {
namespace {

// As nccl-tests 2.13 prints it, with 4 GPUs.
constexpr const char* kNcclTests =
    R"(# nThread 1 nGpus 4 minBytes 8388608 maxBytes 33554432 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1
#
# Using devices
#  Rank  0 Group  0 Pid  12345 on       host device  0 [0x07] NVIDIA A100-SXM4-80GB
#  Rank  1 Group  0 Pid  12345 on       host device  1 [0x0f] NVIDIA A100-SXM4-80GB
#  Rank  2 Group  0 Pid  12345 on       host device  2 [0x47] NVIDIA A100-SXM4-80GB
#  Rank  3 Group  0 Pid  12345 on       host device  3 [0x4e] NVIDIA A100-SXM4-80GB
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
     8388608       2097152     float     sum      -1    110.5   75.92  113.87      0    109.8   76.40  114.60      0
    16777216       4194304     float     sum      -1    170.2   98.57  147.86      0    169.9   98.75  148.12      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 131.11
)";

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

TEST(Tables, NcclTests) {
  EXPECT_EQ(recognise_table(kNcclTests, "t"), TableKind::NcclTests);
  const auto rows = parse_nccl_tests(kNcclTests, "t");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].devices, 4);
  EXPECT_EQ(rows[0].bytes, Bytes(8388608));
  EXPECT_NEAR(rows[0].seconds.value(), 110.5e-6, 1e-12);
}

TEST(Tables, NumberOfDevicesFollowsFromBandwidths) {
  EXPECT_EQ(recognise_table(kVtrain, "t"), TableKind::VtrainAllReduce);
  const auto rows = parse_vtrain_all_reduce(kVtrain, "t");
  ASSERT_EQ(rows.size(), 2U);
  // 19.78 GB/s x 92,790 ns / 1,048,576 B = 1.7504 = 2 x 7/8.
  EXPECT_EQ(rows[0].devices, 8);
  EXPECT_NEAR(rows[1].seconds.value(), 93250e-9, 1e-15);
}

TEST(Tables, FaultsNameTheirLines) {
  const auto faults = faults_of(
      [] { return parse_vtrain_all_reduce(std::string(kVtrain) + "nonsense,1,float,-5,zero\n12,3\n", "t.txt"); });
  ASSERT_EQ(faults.size(), 5U);
  EXPECT_EQ(faults[0].where, "t.txt:4");
  EXPECT_EQ(faults[0].seen, "\"nonsense\"");
  EXPECT_EQ(faults[3].where, "t.txt:5");
  EXPECT_FALSE(faults_of([] { return parse_nccl_tests("# nothing\n", "t"); }).empty());
  EXPECT_FALSE(faults_of([] { return parse_nccl_tests("8 x\n", "t"); }).empty());
  EXPECT_FALSE(faults_of([] { return recognise_table("hello", "t"); }).empty());
  EXPECT_FALSE(faults_of([] { return recognise_table("", "t"); }).empty());
}

TEST(Tables, LayersOfAPipedreamGraph) {
  const Network network = parse_pipedream_profile(
      "node1 -- Input0 -- forward_compute_time=0.0, backward_compute_time=0.0, activation_size=38535168.0, "
      "parameter_size=0.0\n"
      "node2 -- Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) -- forward_compute_time=2.0, "
      "backward_compute_time=4.0, activation_size=822083584.0, parameter_size=7168.0\n"
      "node3 -- ReLU(inplace) -- forward_compute_time=1.0, backward_compute_time=1.5, activation_size=822083584.0, "
      "parameter_size=0.0\n"
      "\tnode1 -- node2\n\tnode2 -- node3\n",
      "graph.txt", 64);
  const LayerTable table = layers_of_pipedream(network);
  EXPECT_EQ(table.batch, 64);
  ASSERT_EQ(table.times.size(), 2U);
  EXPECT_NEAR(table.times[0].sample.forward.value(), 2e-3, 1e-12);
  ASSERT_EQ(table.work.size(), 4U);
  // 64 images of 64 x 224 x 224 outputs, each 3 x 3 x 3 products and sums.
  EXPECT_NEAR(table.work[0].flops.value(), 2.0 * 64 * 64 * 224 * 224 * 27, 1e3);
  EXPECT_EQ(table.work[2].compute_class, ComputeClass::Elementwise);
  // Read and written.
  EXPECT_NEAR(table.work[2].bytes, 2.0 * 822083584.0, 1e3);
}

TEST(Tables, OfOthersMeasurements) {
  const std::string folder = std::string(GABRA_DATA_DIR);
  if (folder.empty()) GTEST_SKIP() << "GABRA_DATA_DIR is not set";
  const std::string path = folder + "/vtrain_allreduce/v100_4gpu.txt";
  const auto rows = parse_vtrain_all_reduce(read_file(path), path);
  EXPECT_EQ(rows.size(), 1024U);
  EXPECT_EQ(rows.front().devices, 4);
  const std::string graph = folder + "/pipedream_profiles/vgg16.txt";
  EXPECT_EQ(recognise_table(read_file(graph), graph), TableKind::PipedreamProfile);
  EXPECT_GT(layers_of_pipedream(parse_pipedream_profile(read_file(graph), graph)).work.size(), 50U);
}

}  // namespace
}  // namespace gabra
