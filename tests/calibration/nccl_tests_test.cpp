// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"
#include "gabra/core/error.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gabra {
namespace {

// Layouts are those that the versions print; figures are made up.

// Before 2.0: times in ms, no units, sizes in a column "bytes".
const std::string kVersion1 =
    R"(# nThread 1 nGpus 2 minBytes 10000000 maxBytes 20000000 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
# NCCL Tests compiled with NCCL 2.4
# Using devices
#   Rank  0 on       node device  0 [0x05] GeForce RTX 2080 Ti
#   Rank  1 on       node device  1 [0x06] GeForce RTX 2080 Ti

#                                                 out-of-place                    in-place
#      bytes             N    type      op     time  algbw  busbw      res     time  algbw  busbw      res
    10000000       2500000   float     sum    1.628   6.14   6.14    0e+00    1.932   5.18   5.18    0e+00
    20000000       5000000   float     sum    3.256   6.14   6.14    0e+00    3.252   6.15   6.15    0e+00
 Out of bounds values : 0 OK
 Avg bus bandwidth    : 5.89
)";

// 2.0 to 2.10, and rccl-tests: us, no root.
const std::string kVersion2 =
    R"(# nThread 1 nGpus 4 minBytes 8 maxBytes 16777216 step: 2(factor) warmup iters: 5 iters: 100 validation: 1
#
# Using devices
#   Rank  0 Pid   2066 on       node device  0 [0x1a] Tesla V100-SXM2-16GB
#   Rank  1 Pid   2066 on       node device  1 [0x1b] Tesla V100-SXM2-16GB
#   Rank  2 Pid   2066 on       node device  2 [0x3d] Tesla V100-SXM2-16GB
#   Rank  3 Pid   2066 on       node device  3 [0x3e] Tesla V100-SXM2-16GB
#
#                                                       out-of-place                       in-place
#       size         count      type   redop     time   algbw   busbw  error     time   algbw   busbw  error
#        (B)    (elements)                       (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           8             2     float     sum    16.21    0.00    0.00  0e+00    16.07    0.00    0.00  0e+00
     1048576        262144     float     sum    62.50   16.78   25.17  2e-07    61.20   17.13   25.70  2e-07
    16777216       4194304     float     sum    341.0   49.20   73.80  2e-07    342.0   49.06   73.58  2e-07
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 33.04
#
)";

// 2.13 to 2.16: root, #wrong in place of error.
const std::string kVersion13 =
    R"(# nThread 1 nGpus 4 minBytes 8 maxBytes 33554432 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
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
           0             0     float     sum      -1     0.28    0.00    0.00      0     0.29    0.00    0.00      0
           8             2     float     sum      -1    14.54    0.00    0.00      0    15.94    0.00    0.00      0
         512           128     float     sum      -1    14.90    0.03    0.05      0    14.80    0.03    0.05      0
     8388608       2097152     float     sum      -1    110.5   75.92  113.87      0    109.8   76.40  114.60      0
    33554432       8388608     float     sum      -1    12646    2.65    3.98      0    12641    2.65    3.98      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 131.11
)";

// Since 2.17 the test has a name, since 2.18 rows are wider.
const std::string kVersion18 =
    R"($ mpirun -np 4 -H nodeA:2,nodeB:2 ./build/all_reduce_perf -b 8 -e 32M -f 2
# nccl-tests version 2.18.3 nccl-headers=23003 nccl-library=23003
# Collective test starting: all_reduce_perf
# nThread 1 nGpus 1 minBytes 8 maxBytes 33554432 step: 2(factor) warmup iters: 1 iters: 20 agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices
#  Rank  0 Group  0 Pid  15784 on      nodeA device  0 [0009:01:00] NVIDIA GH200 120GB
#  Rank  1 Group  0 Pid  15785 on      nodeA device  1 [0019:01:00] NVIDIA GH200 120GB
#  Rank  2 Group  0 Pid  24926 on      nodeB device  0 [0009:01:00] NVIDIA GH200 120GB
#  Rank  3 Group  0 Pid  24927 on      nodeB device  1 [0019:01:00] NVIDIA GH200 120GB
NCCL version 2.30.3+cuda13.0
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)
[nodeA:04379] 3 more processes have sent help message help-mca-var.txt / mutually-exclusive-vars
           8             2     float     sum      -1    39.60    0.00    0.00       0    38.24    0.00    0.00       0
3767c65d25c4:880:887 [0] NCCL INFO Launch mode Parallel
     8388608       2097152     float     sum      -1   559.83   14.98   22.48       0   559.00   15.01   22.51       0
    33554432       8388608     float     sum      -1  1.1e+03   30.50   45.75       0  1100.10   30.50   45.75       0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 19.7866
#
# Collective test concluded: all_reduce_perf
#
)";

// 2.19 and later with --per_iter, --bitwise and --timestamps.
const std::string kWide =
    R"(# nccl-tests version 2.20.0 nccl-headers=23102 nccl-library=23102
# Collective test starting: all_reduce_perf
# Using devices
#  Rank  0 Group  0 Pid     10 on     node-a device  0 [0000:01:00] NVIDIA H100
#  Rank  1 Group  0 Pid     11 on     node-a device  1 [0000:02:00] NVIDIA H100
#
#                                                  out-of-place (+ bitwise + per-iteration)      in-place (+ bitwise + per-iteration)
#       size         count      type   redop    root     time   algbw   busbw  #wrong  #bitdiff    i_min    i_max    i_p99    i_cv%     time   algbw   busbw  #wrong  #bitdiff    i_min    i_max    i_p99    i_cv%           timestamp
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)                       (us)     (us)     (us)      (%)     (us)  (GB/s)  (GB/s)                       (us)     (us)     (us)      (%)   %Y-%m-%d %H:%M:%S
     1048576        262144     float     sum      -1   100.00   10.49   10.49       0         0    98.10   103.20   103.00     1.20   101.00   10.38   10.38       0         0    99.00   104.00   104.00     1.10  2026-09-26 10:00:00
)";

// As sendrecv_perf prints it: nothing is checked in place.
const std::string kMessages =
    R"(# nThread 1 nGpus 1 minBytes 256 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
#
# Using devices
#  Rank  0 Group  0 Pid 1478709 on      gpu23 device  0 [0x31] NVIDIA A40
#  Rank  1 Group  0 Pid 1171742 on      gpu24 device  0 [0x31] NVIDIA A40
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
         256            64     float     sum      -1    34.24    0.01    0.01      0    33.65    0.01    0.01    N/A
   134217728      33554432     float     sum      -1   6101.0   22.00   22.00      0   6102.0   22.00   22.00    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 11
)";

CommunicationTable only_table(const std::string& text) {
  const CommunicationTables read = parse_nccl_tests(text, "t");
  EXPECT_EQ(read.tables.size(), 1U);
  EXPECT_TRUE(read.warnings.empty()) << read.warnings.front();
  return read.tables.at(0);
}

std::vector<Fault> faults_in(const std::string& text) {
  try {
    (void)parse_nccl_tests(text, "t.txt");
  } catch (const InputError& error) {
    return error.faults();
  }
  return {};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

/// `prefix` before every line.
std::string labelled(const std::string& text, const std::string& prefix) {
  std::string result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    result += prefix + text.substr(begin, end - begin + 1);
    begin = end + 1;
  }
  return result;
}

void expect_row(const TransferSample& row, std::int64_t bytes, double microseconds) {
  EXPECT_EQ(row.bytes, Bytes(bytes));
  EXPECT_NEAR(row.seconds.value(), microseconds * 1e-6, 1e-12);
}

TEST(NcclTests, Version1HasMilliseconds) {
  const CommunicationTable table =
      only_table("$ build/all_reduce_perf -b 10000000 -e 20000000 -f 2 -g 2\n" + kVersion1);
  EXPECT_EQ(table.test, CommunicationTest::AllReduce);
  EXPECT_EQ(table.devices, 2);
  ASSERT_EQ(table.rows.size(), 2U);
  expect_row(table.rows[0], 10000000, 1628.0);
}

TEST(NcclTests, Version2HasNoRoot) {
  const CommunicationTable table = only_table(kVersion2);
  EXPECT_EQ(table.test, CommunicationTest::AllReduce);
  EXPECT_EQ(table.devices, 4);
  ASSERT_EQ(table.rows.size(), 3U);
  expect_row(table.rows[0], 8, 16.21);
  expect_row(table.rows[2], 16777216, 341.0);
}

TEST(NcclTests, Version13HasRoot) {
  const CommunicationTable table = only_table(kVersion13);
  EXPECT_EQ(recognise_table(kVersion13, "t"), TableKind::NcclTests);
  EXPECT_EQ(table.place, "t:10");
  EXPECT_EQ(table.devices, 4);
  EXPECT_EQ(table.ranks, (std::vector<RankPlace>{{0, 0}, {0, 1}, {0, 2}, {0, 3}}));
  ASSERT_EQ(table.rows.size(), 4U);  // not that of 0 bytes
  expect_row(table.rows[0], 8, 14.54);
  expect_row(table.rows[2], 8388608, 110.5);
  // Another version prints blanks for a root of -1.
  std::string blank = kVersion13;
  while (blank.find("sum      -1") != std::string::npos) blank = replaced(blank, "sum      -1", "sum        ");
  expect_row(only_table(blank).rows[2], 8388608, 110.5);
}

TEST(NcclTests, Version18NamesItsTestAmongWhatOthersPrint) {
  const CommunicationTable table = only_table(kVersion18);
  EXPECT_EQ(table.test, CommunicationTest::AllReduce);
  EXPECT_EQ(table.ranks, (std::vector<RankPlace>{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
  ASSERT_EQ(table.rows.size(), 3U);
  expect_row(table.rows[0], 8, 39.60);
  expect_row(table.rows[2], 33554432, 1100.0);
  for (const char* label : {"[1,0]<stdout>:", "[1,0]<stdout>: ", "    [1,3]<stderr>: ", " 0: ", "      "})
    EXPECT_EQ(only_table(labelled(kVersion18, label)).rows.size(), 3U) << label;
}

TEST(NcclTests, MoreColumns) {
  const CommunicationTable table = only_table(kWide);
  ASSERT_EQ(table.rows.size(), 1U);
  expect_row(table.rows[0], 1048576, 100.0);
}

TEST(NcclTests, OutOfPlaceIsWhereTheLineAboveSays) {
  // Microsoft's MSCCL++ prints it second.
  const std::string turned = replaced(kVersion13, "out-of-place                       in-place",
                                      "in-place                       out-of-place");
  expect_row(only_table(turned).rows[2], 8388608, 109.8);
}

TEST(NcclTests, Messages) {
  const CommunicationTable table = only_table(kMessages);
  EXPECT_EQ(table.test, CommunicationTest::SendReceive);
  EXPECT_EQ(table.ranks, (std::vector<RankPlace>{{0, 0}, {1, 0}}));
  expect_row(table.rows.at(1), 134217728, 6101.0);
  const std::string named =
      replaced(kVersion18, "# Collective test starting: all_reduce_perf", "# Collective test starting: sendrecv_perf");
  EXPECT_EQ(faults_in(named).at(0).seen, "bus bandwidths 1.500 times the algorithm bandwidths");
  // Before 2.11 it had neither redop nor root.
  const CommunicationTables old = parse_nccl_tests(
      "#       size         count      type     time   algbw   busbw  error     time   algbw   busbw  error\n"
      "#        (B)    (elements)               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)\n"
      "    37748736      37748736     uint8   6485.7    5.82    5.82  0e+00   6496.1    5.81    5.81  3e+02\n",
      "t");
  ASSERT_EQ(old.tables.size(), 1U);
  EXPECT_EQ(old.tables[0].test, CommunicationTest::SendReceive);
  EXPECT_EQ(old.warnings.size(), 1U);  // no ranks
}

TEST(NcclTests, SeveralRunsInOneFile) {
  const std::string gathered = replaced(kVersion18, "starting: all_reduce_perf", "starting: all_gather_perf");
  const CommunicationTables read = parse_nccl_tests(kVersion18 + gathered + kVersion2 + kMessages, "t");
  ASSERT_EQ(read.tables.size(), 3U);
  EXPECT_EQ(read.tables[0].rows.size(), 3U);
  EXPECT_EQ(read.tables[1].devices, 4);
  EXPECT_EQ(read.tables[2].test, CommunicationTest::SendReceive);
  ASSERT_EQ(read.warnings.size(), 1U);
  EXPECT_NE(read.warnings[0].find("all_gather_perf is left out"), std::string::npos) << read.warnings[0];
  // A run that broke off, and its next try.
  EXPECT_EQ(only_table(kVersion2.substr(0, kVersion2.find("           8")) + kVersion2).rows.size(), 3U);
}

TEST(NcclTests, RanksThatSeeOneDeviceEach) {
  std::string text = kVersion18;
  for (int i = 0; i < 2; ++i) text = replaced(text, "device  1", "device  0");
  EXPECT_EQ(only_table(text).ranks, (std::vector<RankPlace>{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
}

TEST(NcclTests, WithoutRanksBandwidthsSayHowMany) {
  std::string text = kVersion13;
  for (int rank = 0; rank < 4; ++rank) text = replaced(text, "#  Rank", "# (Rank");
  const CommunicationTables read = parse_nccl_tests(text, "t");
  EXPECT_EQ(read.tables.at(0).devices, 4);
  EXPECT_TRUE(read.tables.at(0).ranks.empty());
  EXPECT_EQ(read.warnings.size(), 1U);
  // 0.00 and 0.05 say nothing.
  for (const char* row : {"     8388608", "    33554432"}) text = replaced(text, row, "#");
  EXPECT_NE(faults_in(text).at(0).seen.find("do not tell how many"), std::string::npos);
}

TEST(NcclTests, BetweenTwoRanksOnlyANameTells) {
  const CommunicationTables read = parse_nccl_tests(kVersion1, "t");
  EXPECT_EQ(read.tables.at(0).test, CommunicationTest::AllReduce);
  ASSERT_EQ(read.warnings.size(), 1U);
  EXPECT_NE(read.warnings[0].find("nothing names the test"), std::string::npos);
  EXPECT_TRUE(parse_nccl_tests("$ ./all_reduce_perf -g 2\n" + kVersion1, "t").warnings.empty());
}

TEST(NcclTests, FailedChecksAreWarnedOf) {
  const CommunicationTables read = parse_nccl_tests(replaced(kVersion18, "values : 0 OK", "values : 3 FAILED"), "t");
  ASSERT_EQ(read.warnings.size(), 1U);
  EXPECT_NE(read.warnings[0].find("t:21: the test found wrong results"), std::string::npos) << read.warnings[0];
}

TEST(NcclTests, FaultsNameTheirLines) {
  struct Case {
    std::string text, where, seen;
  };
  const std::string row13 =
      "     8388608       2097152     float     sum      -1    110.5   75.92  113.87      0    109.8   76.40  114.60   "
      "   0";
  for (const Case& bad : std::vector<Case>{
           // Columns that are others than their names say.
           {replaced(kVersion13, "110.5   75.92  113.87", "75.92   110.5  113.87"), "t.txt:15",
            "a bus bandwidth of 113.87 GB/s beside an algorithm bandwidth of 110.5 GB/s"},
           {replaced(kVersion13, "110.5   75.92  113.87", "75.92  113.87   110.5"), "t.txt:15",
            "8388608 bytes in 75.92 us at an algorithm bandwidth of 113.87 GB/s"},
           {replaced(kVersion13, "    110.5", ""), "t.txt:15", "12 columns"},
           {replaced(kVersion13, "algbw   busbw", "busbw   algbw"), "t.txt:14", "512 bytes in 14.90 us"},
           {replaced(kVersion13, "     8388608 ", "          8M "), "t.txt:15", "\"8M\""},
           {replaced(kVersion13, row13, row13 + " 3"), "t.txt:15", "14 columns"},
           {replaced(kVersion13, row13, row13.substr(0, 60)), "t.txt:15", "6 columns"},
           {replaced(kVersion13, "    110.5", "      abc"), "t.txt:15", "\"abc\""},
           {replaced(kVersion13, "    110.5", "     0.00"), "t.txt:15", "\"0.00\""},
           {replaced(kVersion13, "    110.5", "   -110.5"), "t.txt:15", "\"-110.5\""},
           {replaced(kVersion13, "   75.92", "     nan"), "t.txt:15", "\"nan\""},
           {replaced(kVersion13, "redop    root     time", "redop    root  cputime"), "t.txt:10", "the column cputime"},
           {replaced(kVersion13, "(us)", "(h)"), "t.txt:11", "the unit \"(h)\""},
           {replaced(kVersion13, "(us)", "(ms)"), "t.txt:14", "512 bytes in 14.90 ms"},
           {replaced(kVersion13, "#       size         count", "#       size"), "t.txt:10", "a header of 12 columns"},
           {replaced(kVersion13, "#       size", "#     length"), "t.txt:10", "a header without size"},
           {replaced(kVersion13, "#  Rank  1", "#  Rank  0"), "t.txt:5", "rank 0 twice"},
           {replaced(kVersion13, "#  Rank  1", "# (Rank  1"), "t.txt:6", "no line of rank 1"},
           {replaced(kVersion13, "#  Rank  3", "# (Rank  3"), "t.txt:10", "bus bandwidths 1.500 times"},
           {replaced(kVersion13, "Rank  3 Group  0", "Rank  3 Group  1"), "t.txt:1", "2 groups of ranks"},
           {replaced(kVersion13, "Rank  3", "Rank  x"), "t.txt:7", "a line of a rank without its number"},
           {replaced(kVersion18, "starting: all_reduce", "starting: broadcast"), "t.txt",
            "the output of broadcast_perf"},
           {kVersion13.substr(0, kVersion13.find("           8")), "t.txt", "no row of measurements"},
           {"# nothing\n", "t.txt", "no row of measurements"},
           {"8 x\n", "t.txt", "no row of measurements"},
       }) {
    const std::vector<Fault> faults = faults_in(bad.text);
    ASSERT_EQ(faults.size(), 1U) << bad.seen << (faults.empty() ? "" : "\n" + to_text(faults.front()));
    EXPECT_EQ(faults[0].where, bad.where) << to_text(faults[0]);
    EXPECT_TRUE(faults[0].seen.starts_with(bad.seen)) << to_text(faults[0]);
  }
}

}  // namespace
}  // namespace gabra
