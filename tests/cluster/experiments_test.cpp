// SPDX-License-Identifier: MIT
#include "first_devices.hpp"
#include "gabra/cluster/collective.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/file.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <vector>

namespace gabra {
namespace {

using test::first;

// What stands in the presets is what the experiments found, and the models still predict what the experiments stored.

nlohmann::json stored(const std::string& path) {
  return nlohmann::json::parse(read_file(std::string(GABRA_SOURCE_DIR) + "/experiments/" + path));
}

void expect_near(double value, double expected, double relative, const std::string& what) {
  EXPECT_NEAR(value, expected, relative * std::abs(expected)) << what;
}

/// Bandwidth of a ring: of a lane of the cube mesh, of the whole link to a switch.
double ring_bandwidth(const Cluster& cluster) {
  const Link& link = cluster.link(cluster.route(DeviceId(0), DeviceId(1)).links[0]);
  const bool is_direct = link.to == VertexId(1);
  return link.bandwidth.value() / (is_direct ? link.lanes : 1);
}

TEST(Collectives, PresetsHaveTheFittedParameters) {
  const nlohmann::json machines = stored("collectives/results/collectives.json").at("machines");
  ASSERT_EQ(machines.size(), 2U);
  for (const auto& [name, machine] : machines.items()) {
    const nlohmann::json& fitted = machine.at("fitted");
    const Cluster cluster = make_preset_cluster(name);
    const CollectiveParameters& preset = cluster.description().collective;
    expect_near(preset.launch.value(), fitted.at("launch_s"), 1e-3, name);
    expect_near(preset.step.value(), fitted.at("step_s"), 1e-3, name);
    expect_near(preset.round_overhead, fitted.at("round_overhead"), 1e-3, name);
    expect_near(static_cast<double>(preset.half_bytes.value()), fitted.at("half_bytes"), 1e-3, name);
    expect_near(preset.exponent, fitted.at("exponent"), 1e-3, name);
    expect_near(preset.low_latency_share, fitted.at("low_latency_share"), 1e-3, name);
    expect_near(static_cast<double>(preset.switch_bytes.value()), fitted.at("switch_bytes"), 1e-3, name);
    expect_near(ring_bandwidth(cluster), fitted.at("bandwidth_bytes_per_s"), 1e-3, name);
  }
}

TEST(Collectives, PredictionsAreTheStoredOnes) {
  const nlohmann::json machines = stored("collectives/results/collectives.json").at("machines");
  ASSERT_EQ(machines.size(), 2U);
  for (const auto& [name, machine] : machines.items()) {
    const Cluster cluster = make_preset_cluster(name);
    CollectiveModel model(cluster);
    ASSERT_EQ(machine.at("table").size(), 33U);
    for (const nlohmann::json& row : machine.at("table"))
      expect_near(model.all_reduce(first(row.at("gpus")), Bytes(row.at("bytes"))).alone.value(), row.at("predicted_s"),
                  1e-6, row.dump());
    ASSERT_EQ(machine.at("by_number_of_gpus").size(), 7U);
    for (const nlohmann::json& row : machine.at("by_number_of_gpus")) {
      const AllReduceLayout& layout = model.all_reduce(first(row.at("gpus")), Bytes(row.at("bytes")));
      expect_near(layout.alone.value(), row.at("predicted_s"), 1e-6, row.dump());
      EXPECT_EQ(layout.channels, row.at("channels").get<int>()) << row.dump();
    }
    EXPECT_LE(machine.at("pooled").at("mean_error_1_to_16_mib").get<double>(), 0.07);
    EXPECT_LE(machine.at("pooled").at("median_error_from_16_mib").get<double>(), name == "dgx-a100" ? 0.01 : 0.02);
  }
}

TEST(Roofline, PresetsHaveTheFittedShares) {
  const nlohmann::json shares = stored("roofline/results/roofline.json").at("by_class").at("shares");
  for (const char* name : {"dgx1-v100", "dgx-a100", "pcie-p40x8"}) {
    const Cluster cluster = make_preset_cluster(name);
    for (std::size_t i = 0; i < kComputeClassCount; ++i) {
      const std::string class_name(kComputeClassNames[i]);
      if (class_name == "embedding") continue;  // no layer of the profiles is one
      const Efficiency& preset = cluster.kind_of(DeviceId(0)).efficiency[i];
      const nlohmann::json& fitted = shares.at(class_name);
      expect_near(preset.flops, fitted.at("flops"), 2e-3, class_name);
      expect_near(preset.bandwidth, fitted.at("bandwidth"), 3e-3, class_name);
      if (class_name == "convolution") expect_near(preset.half_rows, fitted.at("half_rows"), 1e-3, class_name);
    }
  }
}

TEST(Roofline, LayersLieWithinTheStoredSpread) {
  // PipeDream's profiles at batch 128. vgg16: a ReLU passes 822083584 B in 2.513 ms. resnet50: a batch norm, 411041792
  // B read twice and written, in 2.064 ms; a 1x1 convolution from 128 to 512 channels at 28 x 28, 51380224 B to
  // 205520896 B in 1.318 ms: 2 x 128 x 512 operations at each of 128 x 784 positions. Each carries the overhead
  // besides.
  const nlohmann::json fit = stored("roofline/results/roofline.json").at("by_class");
  const double overhead = fit.at("overhead_s").at("forward");
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  const DeviceKind& v100 = cluster.kind_of(DeviceId(0));
  const auto expect_within = [&](const char* kind, ComputeClass compute_class, double flops, double bytes,
                                 double milliseconds) {
    const Seconds predicted = roofline(v100, Precision::Float32, compute_class, Flops(flops), bytes, 128.0 * 784.0);
    const double ratio = milliseconds * 1e-3 / (predicted.value() + overhead);
    const nlohmann::json& spread = fit.at("measured_over_predicted").at(kind);
    EXPECT_GE(ratio, spread.at("p10").get<double>()) << kind;
    EXPECT_LE(ratio, spread.at("p90").get<double>()) << kind;
  };
  expect_within("ReLU", ComputeClass::Elementwise, 0.0, 2.0 * 822083584.0, 2.513);
  expect_within("BatchNorm2d", ComputeClass::Normalization, 0.0, 3.0 * 411041792.0, 2.064);
  expect_within("Conv2d", ComputeClass::Convolution, 2.0 * 128.0 * 512.0 * 128.0 * 784.0, 51380224.0 + 205520896.0,
                1.318);
}

}  // namespace
}  // namespace gabra
