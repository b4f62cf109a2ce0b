// SPDX-License-Identifier: MIT
#include "gabra/calibration/table_fit.hpp"
#include "gabra/cluster/collective.hpp"
#include "gabra/cluster/presets.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace gabra {
namespace {

constexpr std::int64_t kFromEightBytes = 8;
constexpr std::int64_t kMost = std::int64_t{1} << 30;
constexpr auto kMostAsNumber = static_cast<double>(kMost);

/// A table of sizes from `least` to `most`, each twice the one before, that take `seconds`.
CommunicationTable table_of(CommunicationTest test, const std::vector<RankPlace>& ranks, std::int64_t least,
                            std::int64_t most, const std::function<double(double)>& seconds) {
  CommunicationTable table{
      .place = "t:1", .test = test, .devices = static_cast<int>(ranks.size()), .ranks = ranks, .rows = {}};
  for (std::int64_t bytes = least; bytes <= most; bytes *= 2)
    table.rows.push_back({Bytes(bytes), Seconds(seconds(static_cast<double>(bytes)))});
  return table;
}

/// `machines` with as many devices each.
std::vector<RankPlace> ranks_on(int machines, int devices) {
  std::vector<RankPlace> ranks;
  for (int m = 0; m < machines; ++m)
    for (int d = 0; d < devices; ++d) ranks.push_back({m, d});
  return ranks;
}

MachineFit fit_to(const Cluster& base, const std::vector<CommunicationTable>& tables) {
  TableFitter fitter(base, {.sources = "t", .device_kind = {}, .wants_profile = true});
  FaultList faults;
  for (const CommunicationTable& table : tables) fitter.add(table, faults);
  faults.throw_if_any();
  return fitter.fit();
}

double message_seconds(const Cluster& cluster, int from, int to, double bytes) {
  const Route& route = cluster.route(DeviceId(from), DeviceId(to));
  return route.latency.value() + bytes / route.bandwidth.value();
}

double reduction_seconds(const Cluster& cluster, const std::vector<int>& devices, std::int64_t bytes) {
  std::vector<DeviceId> group;
  for (const int device : devices) group.emplace_back(device);
  CollectiveModel model(cluster);
  return model.all_reduce(group, Bytes(bytes)).alone.value();
}

const ModelQuality* find_model(const MachineFit& fit, const std::string& name) {
  const auto found = std::find_if(fit.models.begin(), fit.models.end(),
                                  [&](const ModelQuality& model) { return model.model == name; });
  return found == fit.models.end() ? nullptr : &*found;
}

bool has_warning(const MachineFit& fit, const std::string& text) {
  return std::any_of(fit.warnings.begin(), fit.warnings.end(),
                     [&](const std::string& warning) { return warning.find(text) != std::string::npos; });
}

TEST(TableFit, MessagesSetTheLinksThatTheyMeasured) {
  const Cluster base = make_preset_cluster("dgx-a100:nodes=2");
  // Eight ranks of one machine: NVLinks, 12 us and 150 GB/s.
  const auto inside = [](double bytes) { return 12e-6 + bytes / 150e9; };
  const MachineFit nvlink =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(1, 8), kFromEightBytes, kMost, inside)});
  for (const double bytes : {8.0, 1e6, 1e9})
    EXPECT_NEAR(message_seconds(nvlink.cluster, 0, 5, bytes), inside(bytes), 1e-3 * inside(bytes)) << bytes;
  EXPECT_LT(nvlink.models.at(0).quality.p95_error, 1e-3);
  // Links between machines stay.
  EXPECT_DOUBLE_EQ(message_seconds(nvlink.cluster, 0, 8, 1e9), message_seconds(base, 0, 8, 1e9));

  // One rank on each of two machines: 30 us, and 30 GB/s, which is more than PCIe had.
  const auto across = [](double bytes) { return 30e-6 + bytes / 30e9; };
  const MachineFit network =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(2, 1), kFromEightBytes, kMost, across)});
  for (const double bytes : {8.0, 1e6, 1e9})
    EXPECT_NEAR(message_seconds(network.cluster, 3, 12, bytes), across(bytes), 1e-3 * across(bytes)) << bytes;
  EXPECT_DOUBLE_EQ(message_seconds(network.cluster, 0, 5, 1e9), message_seconds(base, 0, 5, 1e9));
  EXPECT_TRUE(network.warnings.empty());
}

TEST(TableFit, TheSlowestWayOfARingIsWhatMessagesMeasure) {
  // GPU 3 and 4 of a cube mesh have no NVLink between them: their way leads over PCIe and between sockets.
  const Cluster base = make_preset_cluster("dgx1-v100");
  const auto seconds = [](double bytes) { return 20e-6 + bytes / 8e9; };
  const MachineFit fit =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(1, 8), kFromEightBytes, kMost, seconds)});
  EXPECT_NEAR(message_seconds(fit.cluster, 3, 4, 1e9), seconds(1e9), 1e-3 * seconds(1e9));
  EXPECT_DOUBLE_EQ(message_seconds(fit.cluster, 0, 1, 1e9), message_seconds(base, 0, 1, 1e9));
}

TEST(TableFit, SizesThatAreNotThereChangeNothing) {
  const Cluster base = make_preset_cluster("dgx-a100");
  const Route& route = base.route(DeviceId(0), DeviceId(1));
  const auto seconds = [](double bytes) { return 12e-6 + bytes / 150e9; };
  const MachineFit large =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(1, 2), 1 << 27, kMost, seconds)});
  EXPECT_DOUBLE_EQ(large.cluster.route(DeviceId(0), DeviceId(1)).latency.value(), route.latency.value());
  EXPECT_NEAR(large.cluster.route(DeviceId(0), DeviceId(1)).bandwidth.value(), 150e9, 2e9);
  EXPECT_TRUE(has_warning(large, "none up to 64 KiB, latency stays"));
  const MachineFit small =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(1, 2), 8, 1 << 16, seconds)});
  EXPECT_NEAR(small.cluster.route(DeviceId(0), DeviceId(1)).latency.value(), 12e-6, 0.5e-6);
  EXPECT_DOUBLE_EQ(small.cluster.route(DeviceId(0), DeviceId(1)).bandwidth.value(), route.bandwidth.value());
  EXPECT_TRUE(has_warning(small, "none from 1 MiB, bandwidth stays"));
  // One size of an all-reduce: a bandwidth, but no launch.
  const MachineFit one = fit_to(base, {table_of(CommunicationTest::AllReduce, ranks_on(1, 8), kMost, kMost,
                                                [](double bytes) { return 1.75 * bytes / 200e9; })});
  EXPECT_EQ(one.cluster.description().collective.launch, base.description().collective.launch);
  EXPECT_NEAR(reduction_seconds(one.cluster, {0, 1, 2, 3, 4, 5, 6, 7}, kMost), 1.75 * kMostAsNumber / 200e9, 1e-5);
  EXPECT_TRUE(has_warning(one, "stay what the cluster says"));
}

TEST(TableFit, AllReducesInAMachine) {
  const Cluster base = make_preset_cluster("dgx-a100");
  std::vector<CommunicationTable> tables;
  const auto seconds = [](int n) {
    return [n](double bytes) { return 20e-6 + 2.0 * (n - 1) * 1e-6 + 2.0 * (n - 1) / n * bytes / 200e9; };
  };
  for (const int n : {2, 4, 8})
    tables.push_back(table_of(CommunicationTest::AllReduce, ranks_on(1, n), kFromEightBytes, kMost, seconds(n)));
  const MachineFit fit = fit_to(base, tables);
  EXPECT_NEAR(fit.cluster.description().collective.launch.value(), 20e-6, 0.2e-6);
  EXPECT_NEAR(fit.cluster.description().collective.step.value(), 1e-6, 0.02e-6);
  EXPECT_LT(find_model(fit, "all-reduce")->quality.p95_error, 0.01);
  EXPECT_TRUE(fit.warnings.empty());
  // Where ranks stand on other devices than the first.
  const MachineFit last =
      fit_to(base, {table_of(CommunicationTest::AllReduce, {{0, 6}, {0, 7}}, kFromEightBytes, kMost, seconds(2))});
  EXPECT_NEAR(reduction_seconds(last.cluster, {6, 7}, kMost), seconds(2)(kMostAsNumber), 1e-4);
}

TEST(TableFit, AllReducesOverMachinesSetTheLinksBetweenThem) {
  const Cluster base = make_preset_cluster("dgx-a100:nodes=2");
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  // A launch of 20 us and steps of 2 us inside a machine. Over both, eight rings of 20 GB/s each, of 14 edges inside
  // machines and 2 of 40 us between them.
  const auto inside = [](int n) {
    return [n](double bytes) { return 20e-6 + 2.0 * (n - 1) * 2e-6 + 2.0 * (n - 1) / n * bytes / 200e9; };
  };
  const auto over = [](double bytes) {
    return 20e-6 + 30.0 * (14.0 * 2e-6 + 2.0 * 40e-6) / 16.0 + 1.875 * bytes / 160e9;
  };
  std::vector<CommunicationTable> tables{
      table_of(CommunicationTest::AllReduce, ranks_on(2, 8), kFromEightBytes, kMost, over)};
  const auto expect_over = [&](const MachineFit& fit) {
    for (const std::int64_t bytes : {std::int64_t{8}, std::int64_t{1} << 20, kMost})
      EXPECT_NEAR(reduction_seconds(fit.cluster, all, bytes), over(static_cast<double>(bytes)),
                  0.02 * over(static_cast<double>(bytes)))
          << bytes;
    EXPECT_LT(find_model(fit, "all-reduce between machines")->quality.p95_error, 0.02);
    EXPECT_NEAR(fit.cluster.route(DeviceId(0), DeviceId(8)).bandwidth.value(), 20e9, 0.2e9);
  };
  // Alone they give launch and steps too, which cannot be told from latencies: those stay.
  const MachineFit alone = fit_to(base, tables);
  expect_over(alone);
  EXPECT_EQ(alone.cluster.route(DeviceId(0), DeviceId(8)).latency, base.route(DeviceId(0), DeviceId(8)).latency);
  EXPECT_TRUE(has_warning(alone, "also inside one"));
  for (const int n : {2, 4, 8})
    tables.push_back(table_of(CommunicationTest::AllReduce, ranks_on(1, n), kFromEightBytes, kMost, inside(n)));
  const MachineFit both = fit_to(base, tables);
  expect_over(both);
  EXPECT_NEAR(both.cluster.route(DeviceId(0), DeviceId(8)).latency.value(), 40e-6, 1e-6);
  EXPECT_NEAR(reduction_seconds(both.cluster, {0, 1, 2, 3}, kMost), inside(4)(kMostAsNumber),
              0.01 * inside(4)(kMostAsNumber));
  EXPECT_TRUE(both.warnings.empty());
}

TEST(TableFit, LatenciesOnTheWayAreNoLongerThanTheWhole) {
  // PCIe from GPU to network card and back takes 10 us in the preset, more than a whole message here.
  const Cluster base = make_preset_cluster("dgx-a100:nodes=2");
  const auto seconds = [](double bytes) { return 6e-6 + bytes / 20e9; };
  const MachineFit fit =
      fit_to(base, {table_of(CommunicationTest::SendReceive, ranks_on(2, 1), kFromEightBytes, kMost, seconds)});
  EXPECT_GT(base.route(DeviceId(0), DeviceId(8)).latency.value(), 6e-6);
  EXPECT_NEAR(fit.cluster.route(DeviceId(0), DeviceId(8)).latency.value(), 6e-6, 1e-9);
  // A short all-reduce over machines too: half of it may be latency.
  const MachineFit reduced = fit_to(base, {table_of(CommunicationTest::AllReduce, ranks_on(2, 8), kFromEightBytes,
                                                    kMost, [](double bytes) { return 18e-6 + bytes / 80e9; })});
  EXPECT_LT(find_model(reduced, "all-reduce between machines")->quality.p95_error, 0.05);
}

TEST(TableFit, AnAllReduceIsNotFasterThanItsLinks) {
  const Cluster base = make_preset_cluster("dgx-a100");
  const auto messages = [](double bytes) { return 12e-6 + bytes / 150e9; };
  const auto reduction = [](double rate) { return [rate](double bytes) { return 20e-6 + 1.75 * bytes / rate; }; };
  const auto both = [&](double rate) {
    return fit_to(base,
                  {table_of(CommunicationTest::SendReceive, ranks_on(1, 8), kFromEightBytes, kMost, messages),
                   table_of(CommunicationTest::AllReduce, ranks_on(1, 8), kFromEightBytes, kMost, reduction(rate))});
  };
  const MachineFit slower = both(120e9);
  EXPECT_NEAR(message_seconds(slower.cluster, 0, 1, 1e9), messages(1e9), 1e-3 * messages(1e9));
  EXPECT_NEAR(reduction_seconds(slower.cluster, {0, 1, 2, 3, 4, 5, 6, 7}, kMost), reduction(120e9)(kMostAsNumber),
              1e-3);
  EXPECT_TRUE(slower.warnings.empty());
  // Messages then look too fast, and that is said.
  const MachineFit faster = both(240e9);
  EXPECT_NEAR(reduction_seconds(faster.cluster, {0, 1, 2, 3, 4, 5, 6, 7}, kMost), reduction(240e9)(kMostAsNumber),
              1e-3);
  EXPECT_GT(find_model(faster, "messages over NVLinks")->quality.p95_error, 0.3);
}

TEST(TableFit, TablesThatTheClusterHasNoPlaceFor) {
  const auto seen = [](const Cluster& base, const std::vector<RankPlace>& ranks, CommunicationTest test) {
    TableFitter fitter(base, {});
    FaultList faults;
    fitter.add(table_of(test, ranks, 8, 8, [](double) { return 1e-5; }), faults);
    return faults.empty() ? "" : to_text(faults.faults().front());
  };
  const Cluster one = make_preset_cluster("dgx-a100");
  const Cluster two = make_preset_cluster("dgx-a100:nodes=2,gpus=4");
  EXPECT_EQ(seen(one, ranks_on(1, 8), CommunicationTest::AllReduce), "");
  EXPECT_EQ(seen(one, ranks_on(1, 9), CommunicationTest::AllReduce),
            "t:1: saw a test of 9 devices; allowed: at most the 8 of the cluster");
  EXPECT_NE(seen(one, ranks_on(2, 2), CommunicationTest::SendReceive).find("2 machines"), std::string::npos);
  EXPECT_NE(seen(two, ranks_on(1, 8), CommunicationTest::SendReceive).find("8 devices"), std::string::npos);
  // Five GPUs of a cube mesh have trees, no ring.
  EXPECT_NE(seen(make_preset_cluster("dgx1-v100"), ranks_on(1, 5), CommunicationTest::AllReduce).find("no ring"),
            std::string::npos);
}

// A network of two layers at a batch of `batch`.
LayerTable layers_of(const std::string& name, std::int64_t batch, const std::string& second = "ReLU(inplace)") {
  LayerTable table;
  table.name = name;
  table.batch = batch;
  const auto samples = static_cast<double>(batch);
  for (const std::string& description : {std::string("Linear(in_features=64, out_features=64)"), second}) {
    const Seconds seconds(1e-3 * samples);
    table.times.push_back({"node" + std::to_string(table.times.size() + 2),
                           description,
                           {.micro_batch = batch, .forward = seconds, .backward = seconds}});
    table.work.push_back(
        {.compute_class = description.starts_with("Linear") ? ComputeClass::MatrixProduct : ComputeClass::Elementwise,
         .flops = Flops(description.starts_with("Linear") ? 1e9 * samples : 0.0),
         .bytes = 1e8 * samples,
         .rows = samples,
         .seconds = seconds});
  }
  table.unknown["Dropout"] = {.layers = 3, .seconds = Seconds(2e-3)};
  return table;
}

Cluster cluster_of_kinds(const std::vector<std::string>& names, double peak_of_last) {
  Cluster::Description description;
  description.name = "c";
  for (const std::string& name : names) {
    DeviceKind kind;
    kind.name = name;
    kind.peak_float32 = FlopsPerSecond(name == names.back() ? peak_of_last : 15e12);
    kind.peak_bfloat16 = kind.peak_float32;
    kind.memory = Bytes(std::int64_t{16} << 30);
    kind.memory_bandwidth = BytesPerSecond(9e11);
    description.devices.push_back({.name = "of " + name, .kind = DeviceKindId(description.kinds.size()), .node = 0});
    description.kinds.push_back(kind);
  }
  for (std::size_t d = 1; d < names.size(); ++d)
    for (const auto& [from, to] : {std::pair(VertexId(d - 1), VertexId(d)), std::pair(VertexId(d), VertexId(d - 1))})
      description.links.push_back({.name = std::to_string(from.value()) + "-" + std::to_string(to.value()),
                                   .from = from,
                                   .to = to,
                                   .bandwidth = BytesPerSecond(1e10),
                                   .latency = Seconds(1e-6)});
  return Cluster::build(std::move(description), "c");
}

TEST(TableFit, LayersAreOfAllKindsWithTheSamePeaks) {
  FaultList faults;
  const Cluster alike = cluster_of_kinds({"16 GB", "32 GB"}, 15e12);
  TableFitter all(alike, {.sources = "t", .device_kind = "32 GB", .wants_profile = true});
  all.add(layers_of("a.txt", 64), faults);
  const MachineFit both = all.fit();
  EXPECT_EQ(both.profile.samples().size(), 2U);
  EXPECT_TRUE(both.cluster.is_calibrated());
  EXPECT_TRUE(both.warnings.empty());
  ASSERT_EQ(both.notes.size(), 2U);
  EXPECT_NE(both.notes[1].find("no rule says what work 3 of them are"), std::string::npos) << both.notes[1];
  EXPECT_NE(both.notes[1].find("Dropout (3)"), std::string::npos) << both.notes[1];

  const Cluster different = cluster_of_kinds({"fast", "slow"}, 5e12);
  TableFitter chosen(different, {.sources = "t", .device_kind = "slow", .wants_profile = true});
  chosen.add(layers_of("a.txt", 64), faults);
  const MachineFit one = chosen.fit();
  EXPECT_EQ(one.profile.samples().count("slow"), 1U);
  EXPECT_EQ(one.profile.samples().count("fast"), 0U);
  EXPECT_FALSE(one.cluster.kind(DeviceKindId(0)).is_calibrated);
  EXPECT_TRUE(one.cluster.kind(DeviceKindId(1)).is_calibrated);
  EXPECT_TRUE(has_warning(one, "taken for slow, nothing changes for fast"));
  EXPECT_TRUE(faults.empty());
}

TEST(TableFit, LayersOfOneNameAreOfOneNetwork) {
  const Cluster base = cluster_of_kinds({"gpu"}, 15e12);
  const auto add_both = [&](const LayerTable& second, bool wants_profile) {
    TableFitter fitter(base, {.sources = "t", .device_kind = {}, .wants_profile = wants_profile});
    FaultList faults;
    fitter.add(layers_of("a.txt", 64), faults);
    fitter.add(second, faults);
    return std::pair(faults.empty() ? "" : to_text(faults.faults().front()), fitter.fit());
  };
  EXPECT_EQ(add_both(layers_of("b.txt", 64, "MaxPool2d(kernel_size=2)"), true).first,
            "b.txt: saw the layer node2, which a.txt has too, of another network; allowed: one network with --profile, "
            "since a profile finds layers by name; without it any number");
  EXPECT_EQ(add_both(layers_of("b.txt", 64, "MaxPool2d(kernel_size=2)"), false).first, "");
  EXPECT_NE(add_both(layers_of("b.txt", 64), true).first.find("layers at a batch of 64"), std::string::npos);
  // Two batches of one network are two samples of each layer.
  const auto [fault, fit] = add_both(layers_of("b.txt", 32), true);
  EXPECT_EQ(fault, "");
  const std::vector<LayerSample>& samples = fit.profile.samples().at("gpu").at("node2");
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[0].micro_batch, 32);
  EXPECT_EQ(samples[1].micro_batch, 64);
}

TEST(TableFit, WhatMovesDataOnlySaysNothingOfArithmetic) {
  const Cluster base = cluster_of_kinds({"gpu"}, 15e12);
  TableFitter fitter(base, {});
  FaultList faults;
  fitter.add(layers_of("a.txt", 64), faults);
  const MachineFit fit = fitter.fit();
  const auto& efficiency = fit.cluster.kind(DeviceKindId(0)).efficiency;
  EXPECT_EQ(efficiency[static_cast<std::size_t>(ComputeClass::Elementwise)].flops, 1.0);
  // 1e8 bytes in a millisecond of 9e11 bytes per second.
  EXPECT_NEAR(efficiency[static_cast<std::size_t>(ComputeClass::Elementwise)].bandwidth, 1.0 / 9.0, 1e-3);
}

TEST(TableFit, APoorTailIsWarnedOf) {
  const Cluster base = make_preset_cluster("dgx-a100");
  // A quarter of the sizes takes twice as long: the median shows nothing of it.
  int row = 0;
  const MachineFit fit = fit_to(
      base, {table_of(CommunicationTest::AllReduce, ranks_on(1, 8), kFromEightBytes, kMost, [&row](double bytes) {
        const double factor = ++row % 4 == 0 ? 3.0 : 1.0;
        return factor * (40e-6 + bytes / 100e9);
      })});
  const FitQuality& quality = find_model(fit, "all-reduce")->quality;
  EXPECT_GT(quality.p95_error, 0.3);
  EXPECT_TRUE(has_warning(fit, "the fit of all-reduce is poor"));
}

}  // namespace
}  // namespace gabra
