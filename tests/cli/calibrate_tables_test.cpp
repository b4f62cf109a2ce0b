// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace gabra::test {
namespace {

using nlohmann::json;

/// As nccl-tests 2.18 prints it: `hosts` with `per_host` ranks each, sizes from 8 B to 1 GiB.
template <class SecondsOf>
std::string nccl_output(const std::string& program, const std::vector<std::string>& hosts, int per_host, double factor,
                        SecondsOf seconds_of) {
  std::string text =
      "# nccl-tests version 2.18.3 nccl-headers=23003 nccl-library=23003\n# Collective test starting: " + program +
      "\n# nThread 1 nGpus 1 minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 1 iters: 20 agg iters: 1 "
      "validation: 1 graph: 0 unalign: 0\n#\n# Using devices\n";
  int rank = 0;
  for (const std::string& host : hosts)
    for (int device = 0; device < per_host; ++device)
      text += "#  Rank " + std::to_string(rank++) + " Group  0 Pid 4711 on " + host + " device " +
              std::to_string(device) + " [0000:07:00] NVIDIA A100-SXM4-80GB\n";
  text +=
      "#\n#           out-of-place                       in-place\n"
      "#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  "
      "#wrong\n"
      "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  "
      "(GB/s)\n";
  for (std::int64_t bytes = 8; bytes <= (std::int64_t{1} << 30); bytes *= 2) {
    const double seconds = seconds_of(static_cast<double>(bytes));
    const double rate = static_cast<double>(bytes) / seconds / 1e9;
    char row[256];
    std::snprintf(row, sizeof row, "%12ld %12ld float sum -1 %8.2f %6.2f %6.2f 0 %8.2f %6.2f %6.2f %s\n",
                  static_cast<long>(bytes), static_cast<long>(bytes / 4), seconds * 1e6, rate, rate * factor,
                  seconds * 1e6, rate, rate * factor, program == "sendrecv_perf" ? "N/A" : "0");
    text += row;
  }
  return text +
         "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 70.7\n#\n# Collective test concluded: " + program +
         "\n#\n";
}

/// A graph of a convolution and a second layer with `milliseconds` forward, at 64 images.
std::string pipedream_graph(const std::string& second, const std::string& milliseconds) {
  const auto node = [](const std::string& name, const std::string& description, const std::string& forward,
                       const std::string& bytes) {
    return name + " -- " + description + " -- forward_compute_time=" + forward + ", backward_compute_time=" + forward +
           ", activation_size=" + bytes + ", parameter_size=0.0\n";
  };
  return node("node1", "Input0", "0.0", "38535168.0") +
         node("node2", "Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))", "4.0", "822083584.0") +
         node("node3", second, milliseconds, "822083584.0") + "\tnode1 -- node2\n\tnode2 -- node3\n";
}

class CalibrateTables : public ::testing::Test {
 protected:
  Outcome run(const std::string& line) { return run_gabra(split_words(line), folder_.path()); }
  json run_json(const std::string& line) {
    const Outcome result = run(line + " --json");
    EXPECT_EQ(result.status, 0) << result.err;
    return result.status == 0 ? json::parse(result.out) : json::object();
  }
  void write(const std::string& name, const std::string& text) { write_text(folder_.file(name), text); }
  /// Nothing on stdout, no file, and exactly these lines on stderr (the beginnings of them).
  void expect_refused(const std::string& line, const std::vector<std::string>& beginnings) {
    SCOPED_TRACE(line);
    const auto before = folder_.names();
    const Outcome result = run("calibrate " + line);
    EXPECT_EQ(result.status, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(folder_.names(), before);
    std::string rest = result.err;
    for (const std::string& beginning : beginnings) {
      EXPECT_TRUE(rest.starts_with("gabra: " + beginning)) << rest;
      rest = rest.substr(std::min(rest.size(), rest.find('\n') + 1));
    }
    EXPECT_EQ(rest, "");
  }

  TemporaryFolder folder_;
};

TEST_F(CalibrateTables, MessagesAndAllReducesOfTwoMachines) {
  write("messages.txt",
        nccl_output("sendrecv_perf", {"a", "b"}, 1, 1.0, [](double bytes) { return 30e-6 + bytes / 22e9; }));
  write("inside.txt",
        nccl_output("all_reduce_perf", {"a"}, 8, 1.75, [](double bytes) { return 25e-6 + 1.75 * bytes / 200e9; }));
  const json fit =
      run_json("calibrate --from-table messages.txt --from-table inside.txt --cluster dgx-a100:nodes=2 -o m.json");
  ASSERT_FALSE(fit.empty());
  EXPECT_EQ(fit.at("warnings"), json::array());
  for (const json& model : fit.at("models")) EXPECT_LT(model.at("p95_error").get<double>(), 0.05) << model;
  const json reduced =
      run_json("simulate --collective all-reduce --bytes 1GiB --devices 0,1,2,3,4,5,6,7 --cluster m.json");
  const double expected = 25e-6 + 1.75 * 1073741824.0 / 200e9;
  EXPECT_NEAR(reduced.at("time_s").get<double>(), expected, 0.01 * expected);
  // From -b 8 on a run prints bandwidths of 0.00.
  EXPECT_NE(read_text(folder_.file("inside.txt")).find("  0.00   0.00 0"), std::string::npos);
}

TEST_F(CalibrateTables, LayersAreNamedThatNoRuleCovers) {
  write("graph.txt", pipedream_graph("Dropout(p=0.5)", "1.0"));
  const Outcome text = run("calibrate --from-table graph.txt --cluster p3.8xlarge -o m.json --profile p.json");
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_NE(text.out.find("Note: graph.txt: 2 layers at a batch of 64; no rule says what work 1 of them are, 20.0 % of "
                          "the time, so efficiencies are fitted without Dropout\n"),
            std::string::npos)
      << text.out;
  const json profile = json::parse(read_text(folder_.file("p.json")));
  EXPECT_EQ(profile.at("device_kinds").at(0).at("layers").size(), 2U);
}

TEST_F(CalibrateTables, WhatIsRefused) {
  const std::string end = " --cluster dgx-a100 -o m.json";
  write("a.txt", pipedream_graph("ReLU(inplace)", "1.0"));
  write("b.txt", pipedream_graph("Dropout(p=0.5)", "1.0"));
  write("inside.txt",
        nccl_output("all_reduce_perf", {"a"}, 8, 1.75, [](double bytes) { return 25e-6 + 1.75 * bytes / 200e9; }));
  write("gather.txt",
        nccl_output("all_gather_perf", {"a"}, 8, 0.875, [](double bytes) { return 25e-6 + 0.875 * bytes / 200e9; }));
  write("across.txt",
        nccl_output("all_reduce_perf", {"a", "b"}, 1, 1.0, [](double bytes) { return 25e-6 + bytes / 20e9; }));
  write("runs.csv", "# GPUs,global batch,micro batch,hidden size\n2,16,8,1024\n");
  write("hello.txt", "hello\n");
  expect_refused("--from-table a.txt --from-table b.txt --profile p.json" + end,
                 {"b.txt: saw the layer node2, which a.txt has too, of another network"});
  EXPECT_EQ(run("calibrate --from-table a.txt --from-table b.txt" + end).status, 0) << "no profile, no collision";
  std::remove(folder_.file("m.json").c_str());
  expect_refused("--from-table gather.txt" + end, {"gather.txt: saw the output of all_gather_perf"});
  expect_refused("--from-table across.txt" + end, {"across.txt:10: saw a test on 2 machines"});
  expect_refused("--from-table runs.csv" + end, {"runs.csv: saw times of whole training steps"});
  EXPECT_NE(run("calibrate --from-table runs.csv" + end).err.find("experiments/prediction_error"), std::string::npos);
  expect_refused("--from-table ." + end, {"./runs.csv: saw times of whole training steps"});
  std::remove(folder_.file("runs.csv").c_str());
  expect_refused("--from-table ." + end, {".: saw a folder"});
  expect_refused("--from-table hello.txt --from-table missing.txt" + end,
                 {"hello.txt: saw a table of an unknown kind", "missing.txt: saw no such file"});
  expect_refused("--from-table inside.txt --profile p.json" + end, {"--profile: saw this flag"});
  expect_refused("--from-table a.txt --device-kind V100" + end, {"--device-kind: saw \"V100\""});
  expect_refused("--from-table a.txt --cluster dgx-a100", {"--output: saw nothing"});
}

}  // namespace
}  // namespace gabra::test
