// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gabra {
namespace {

std::vector<Fault> faults_of(const std::string& text) {
  try {
    (void)parse_cluster(text, "c.json");
    return {};
  } catch (const InputError& error) {
    return error.faults();
  }
}

bool has_fault(const std::vector<Fault>& faults, const std::string& where) {
  for (const Fault& fault : faults)
    if (fault.where == "c.json: " + where) return true;
  return false;
}

std::string all(const std::vector<Fault>& faults) {
  std::string text;
  for (const Fault& fault : faults) text += to_text(fault) + "\n";
  return text;
}

const std::string kSmall = R"({"schema": "gabra/cluster/1",
  "kinds": [{"name": "k", "peak_float32": "1 TFLOP/s", "memory": "1 GiB", "memory_bandwidth": "10 GB/s"}],
  "devices": [{"name": "a", "kind": "k"}, {"name": "b", "kind": "k"}],
  "links": [{"from": "a", "to": "b", "bandwidth": "25 GB/s", "latency": "2 us", "duplex": true}]})";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kSmall;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ClusterFile, EveryPresetReadsBackIdentically) {
  for (const ClusterPreset& preset : cluster_presets())
    for (const char* options : {"", ":nodes=3"}) {
      const Cluster cluster = make_preset_cluster(preset.name + options);
      const std::string text = to_json_text(cluster);
      const Cluster again = parse_cluster(text, "c.json");
      EXPECT_EQ(to_json_text(again), text) << preset.name;
      EXPECT_EQ(again.fingerprint(), cluster.fingerprint()) << preset.name;
      EXPECT_EQ(again.description().collective, cluster.description().collective);
    }
}

TEST(ClusterFile, LaunchAheadIsPassUnlessStated) {
  const Cluster pass = parse_cluster(kSmall, "c.json");
  const Cluster layer = parse_cluster(with("\"memory\":", "\"launch_ahead\": \"layer\", \"memory\":"), "c.json");
  EXPECT_EQ(pass.kind(DeviceKindId(0)).launch_ahead, LaunchAhead::Pass);
  EXPECT_EQ(layer.kind(DeviceKindId(0)).launch_ahead, LaunchAhead::Layer);
  EXPECT_NE(layer.fingerprint(), pass.fingerprint());
  EXPECT_EQ(parse_cluster(to_json_text(layer), "c.json").fingerprint(), layer.fingerprint());
}

TEST(ClusterFile, SaysOnWhatAKindWasMeasured) {
  const Cluster cluster = parse_cluster(
      with("\"memory\":", R"("measured_on": {"device": "cuda", "threads_per_rank": 3}, "memory":)"), "c.json");
  const MeasuredOn expected{.hardware = MeasuredOn::Hardware::Cuda, .threads_per_rank = 3};
  EXPECT_EQ(cluster.kind(DeviceKindId(0)).measured_on, expected);
  EXPECT_EQ(parse_cluster(to_json_text(cluster), "c.json").kind(DeviceKindId(0)).measured_on, expected);
  // Plans take the same time on it as on one that does not say.
  EXPECT_EQ(cluster.fingerprint(), parse_cluster(kSmall, "c.json").fingerprint());
  EXPECT_FALSE(parse_cluster(kSmall, "c.json").kind(DeviceKindId(0)).measured_on.has_value());
  const auto faults =
      faults_of(with("\"memory\":", R"("measured_on": {"device": "gpu", "threads_per_rank": 0}, "memory":)"));
  EXPECT_TRUE(has_fault(faults, "$.kinds[0].measured_on.device")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.kinds[0].measured_on.threads_per_rank")) << all(faults);
}

// A second way from a to b, and the route that takes it one way only.
const std::string kRouted = R"("duplex": true}, {"name": "far", "from": "a", "to": "b", "bandwidth": "1 GB/s"}],
  "routes": [{"from": "a", "to": "b", "links": ["far"]}]})";

TEST(ClusterFile, StatedRoutesGoBeforeFoundOnes) {
  const Cluster cluster = parse_cluster(with(R"("duplex": true}]})", kRouted), "c.json");
  EXPECT_EQ(cluster.route(DeviceId(0), DeviceId(1)).bandwidth.value(), 1e9);
  EXPECT_EQ(cluster.route(DeviceId(1), DeviceId(0)).bandwidth.value(), 25e9);
  EXPECT_EQ(cluster.interchange_classes()[1], DeviceId(1));
  const Cluster again = parse_cluster(to_json_text(cluster), "c.json");
  EXPECT_EQ(to_json_text(again), to_json_text(cluster));
  EXPECT_EQ(again.fingerprint(), cluster.fingerprint());
  EXPECT_NE(parse_cluster(kSmall, "c.json").fingerprint(), cluster.fingerprint());
}

TEST(ClusterFile, FaultsOfStatedRoutes) {
  const auto faults_with = [](const std::string& routes) {
    return faults_of(with(R"("duplex": true}]})", R"("duplex": true}], "routes": )" + routes + "}"));
  };
  const auto faults = faults_with(R"([{"from": "a", "to": "z", "links": ["a->b"]},
    {"from": "a", "to": "b", "links": ["nope"]}, {"from": "a", "to": "a", "links": ["a->b"]},
    {"from": "a", "to": "b", "links": []}, {"from": "a", "to": "b", "links": ["a->b"], "via": 1},
    {"from": "a", "to": "b", "links": ["a->b"]}])");
  EXPECT_TRUE(has_fault(faults, "$.routes[0].to")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.routes[1].links[0]")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.routes[2].to")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.routes[3].links")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.routes[4].via")) << all(faults);
  EXPECT_TRUE(has_fault(faults, "$.routes[5].to")) << all(faults);
}

TEST(ClusterFile, DefaultsAndDuplexLinks) {
  const Cluster cluster = parse_cluster(kSmall, "c.json");
  EXPECT_EQ(cluster.name(), "c.json");
  ASSERT_EQ(cluster.links().size(), 2U);
  EXPECT_EQ(cluster.link(LinkId(0)).name, "a->b");
  EXPECT_EQ(cluster.link(LinkId(1)).name, "b->a");
  EXPECT_EQ(cluster.link(LinkId(1)).bandwidth.value(), 25e9);
  EXPECT_EQ(cluster.link(LinkId(1)).latency.value(), 2e-6);
  EXPECT_EQ(cluster.kind_of(DeviceId(0)).peak_bfloat16.value(), 1e12);
  EXPECT_EQ(cluster.kind_of(DeviceId(0)).efficiency[2].flops, 1.0);
  EXPECT_FALSE(cluster.is_calibrated());
}

TEST(ClusterFile, SingleFaultsAreReportedOnceAndInPlace) {
  const auto expect = [](const std::string& text, const std::string& where) {
    const std::vector<Fault> faults = faults_of(text);
    EXPECT_EQ(faults.size(), 1U) << where << "\n" << all(faults);
    EXPECT_TRUE(has_fault(faults, where)) << where << "\n" << all(faults);
  };
  expect(with("gabra/cluster/1", "gabra/plan/1"), "$.schema");
  expect(with("\"1 TFLOP/s\"", "1"), "$.kinds[0].peak_float32");
  expect(with("\"1 TFLOP/s\"", "\"0 TFLOP/s\""), "$.kinds[0].peak_float32");
  expect(with("\"1 GiB\"", "\"1\""), "$.kinds[0].memory");
  expect(with("\"1 GiB\"", "\"-1 GiB\""), "$.kinds[0].memory");
  expect(with("\"memory\": \"1 GiB\", ", ""), "$.kinds[0].memory");
  expect(with("\"memory\":", "\"launch\": 3, \"memory\":"), "$.kinds[0].launch");
  expect(with("\"memory\":", "\"launch_ahead\": \"far\", \"memory\":"), "$.kinds[0].launch_ahead");
  expect(with("\"memory\":", "\"efficiency\": {\"convolution\": {\"flops\": 0}}, \"memory\":"),
         "$.kinds[0].efficiency.convolution.flops");
  expect(with("\"memory\":", "\"efficiency\": {\"conv\": {}}, \"memory\":"), "$.kinds[0].efficiency.conv");
  expect(with("\"memory\":", "\"communication_slowdown\": 0.5, \"memory\":"), "$.kinds[0].communication_slowdown");
  expect(with("\"memory\":", "\"base_memory\": \"2 GiB\", \"memory\":"), "$.kinds[0].base_memory");
  expect(with("\"kind\": \"k\"}, ", "\"kind\": \"K\"}, "), "$.devices[0].kind");
  expect(with("\"kind\": \"k\"}, ", "\"kind\": \"k\", \"node\": -1}, "), "$.devices[0].node");
  expect(with("\"to\": \"b\"", "\"to\": \"c\""), "$.links[0].to");
  expect(with("\"25 GB/s\"", "\"0 GB/s\""), "$.links[0].bandwidth");
  expect(with("\"2 us\"", "2"), "$.links[0].latency");
  expect(with("\"duplex\": true", "\"duplex\": 1, \"lanes\": 1"), "$.links[0].duplex");
  expect(with("\"duplex\"", "\"lanes\": 0, \"duplex\""), "$.links[0].lanes");
  expect(with("\"duplex\"", "\"name\": \"\", \"duplex\""), "$.links[0].name");
  expect(with("\"links\"", "\"collective\": {\"exponent\": -1}, \"links\""), "$.collective.exponent");
  expect(with("\"links\"", "\"switches\": [{\"name\": \"b\"}], \"links\""), "$.switches[0].name");
  // What refers to a name that is gone is at fault as well.
  EXPECT_TRUE(has_fault(faults_of(with("\"name\": \"k\", ", "")), "$.kinds[0].name"));
  EXPECT_TRUE(has_fault(faults_of(with("{\"name\": \"b\"", "{\"name\": \"a\"")), "$.devices[1].name"));
  // Without its links the file has unreachable devices as well.
  EXPECT_TRUE(has_fault(faults_of(with("\"links\"", "\"link\"")), "$.link"));
}

TEST(ClusterFile, AllFaultsAtOnce) {
  const std::vector<Fault> faults = faults_of(R"({"schema": "gabra/cluster/1", "extra": 1,
    "kinds": [{"name": "k", "peak_float32": "0 FLOP/s", "memory_bandwidth": 10}],
    "devices": [{"name": "a", "kind": "k"}, {"name": "a", "kind": "z"}, 7],
    "switches": [{"node": "x"}],
    "links": [{"from": "a", "to": "q", "bandwidth": "25"}, {"from": "a", "to": "a", "bandwidth": "1 GB/s", "latency": "-1 s"}]})");
  for (const char* where :
       {"$.extra", "$.kinds[0].peak_float32", "$.kinds[0].memory", "$.kinds[0].memory_bandwidth", "$.devices[1].name",
        "$.devices[1].kind", "$.devices[2]", "$.switches[0].name", "$.switches[0].node", "$.links[0].to",
        "$.links[0].bandwidth", "$.links[1].to", "$.links[1].latency"})
    EXPECT_TRUE(has_fault(faults, where)) << where << "\n" << all(faults);
  EXPECT_EQ(faults.size(), 13U) << all(faults);
}

TEST(ClusterFile, UnreachableDevicesAndNoDevices) {
  EXPECT_TRUE(has_fault(faults_of(with("\"duplex\": true", "\"duplex\": false")), "$.devices[0]"));
  const std::vector<Fault> faults = faults_of(R"({"schema": "gabra/cluster/1", "kinds": [], "devices": []})");
  EXPECT_TRUE(has_fault(faults, "$.devices")) << all(faults);
}

TEST(ClusterFile, NotJson) {
  EXPECT_EQ(faults_of("").size(), 1U);
  EXPECT_EQ(faults_of("{").size(), 1U);
  EXPECT_FALSE(faults_of("[]").empty());
  EXPECT_FALSE(faults_of("null").empty());
  EXPECT_FALSE(faults_of(kSmall.substr(0, kSmall.size() / 2)).empty());
  EXPECT_FALSE(faults_of(with("\"schema\"", "\"devices\": [], \"schema\"")).empty());
}

TEST(ClusterFile, TheExampleInTheDocumentationBuilds) {
  const std::string formats = read_file(GABRA_SOURCE_DIR "/docs/formats.md");
  const std::size_t section = formats.find("## gabra/cluster/1");
  ASSERT_NE(section, std::string::npos);
  const std::size_t begin = formats.find("```json\n", section) + 8;
  const std::string example = formats.substr(begin, formats.find("```", begin) - begin);
  const Cluster cluster = parse_cluster(example, "example");
  EXPECT_EQ(cluster.device_count(), 3U);
  EXPECT_NE(cluster.kind_of(DeviceId(0)).name, cluster.kind_of(DeviceId(2)).name);
  EXPECT_EQ(to_json_text(parse_cluster(to_json_text(cluster), "again")), to_json_text(cluster));
}

}  // namespace
}  // namespace gabra
