// SPDX-License-Identifier: MIT
#include "gabra/sim/platform.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/sim/simulator.hpp"

#include "child_process.hpp"
#include "hand_made.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace gabra::sim {
namespace {

using test::HandMadeProgram;
using test::make_star;

/// A file that goes with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& contents, const std::string& ending = ".xml")
      : path_((std::filesystem::temp_directory_path() / fmt::format("gabra-{}{}", getpid(), ending)).string()) {
    write_file_atomically(path_, contents);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Cluster read_text(const std::string& xml) { return read_platform(TemporaryFile(xml).path()); }

std::string message_of(const std::string& xml) {
  try {
    static_cast<void>(read_text(xml));
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

std::string platform(const std::string& body) {
  return "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
         "<platform version=\"4.1\">\n<zone id=\"all\" routing=\"Full\">\n" +
         body + "\n</zone>\n</platform>\n";
}

double transfer_seconds(const Cluster& cluster, int from, int to, std::int64_t bytes) {
  HandMadeProgram program;
  program.transfer(from, to, bytes);
  return Simulator(cluster).run(program.build()).report.step.value();
}

double seconds_by_simgrid_alone(const std::string& path, const std::string& from, const std::string& to,
                                std::int64_t bytes) {
  const std::string command = fmt::format("{} '{}' '{}' '{}' {} 2>&1", SIM_PLATFORM_TRANSFER, path, from, to, bytes);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), &pclose);
  std::array<char, 256> line{};
  if (!pipe || fgets(line.data(), line.size(), pipe.get()) == nullptr) return -1.0;
  return std::strtod(line.data(), nullptr);
}

TEST(Platform, HostsBecomeDevices) {
  const Cluster cluster = read_text(platform(R"(
    <host id="b" speed="2Gf" core="4"/>
    <host id="a" speed="5Tf"/>
    <link id="one" bandwidth="10GBps" latency="3us"/>
    <link id="two" bandwidth="5GBps" latency="2us" sharing_policy="FATPIPE"/>
    <route src="b" dst="a" symmetrical="NO"><link_ctn id="one"/><link_ctn id="two"/></route>
    <route src="a" dst="b" symmetrical="NO"><link_ctn id="two"/></route>)"));
  // In the order of the file.
  ASSERT_EQ(cluster.device_count(), 2U);
  EXPECT_EQ(cluster.device(DeviceId(0)).name, "b");
  EXPECT_EQ(cluster.kind_of(DeviceId(0)).peak_float32, FlopsPerSecond(8e9));
  EXPECT_EQ(cluster.kind_of(DeviceId(1)).peak_float32, FlopsPerSecond(5e12));
  EXPECT_FALSE(cluster.is_calibrated());
  EXPECT_NE(cluster.kind_of(DeviceId(0)).source.find("assumed"), std::string::npos);
  // 1e9 B over the narrower 5e9 B/s and 3 + 2 us; back 2 us.
  EXPECT_NEAR(transfer_seconds(cluster, 0, 1, 1'000'000'000), 0.2 + 5e-6, 1e-8);
  EXPECT_NEAR(transfer_seconds(cluster, 1, 0, 1'000'000'000), 0.2 + 2e-6, 1e-8);
}

TEST(Platform, ExampleOfTheDocumentation) {
  const std::string formats = read_file(GABRA_SOURCE_DIR "/docs/formats.md");
  const std::size_t begin = formats.find("```xml\n");
  ASSERT_NE(begin, std::string::npos);
  const std::size_t first = begin + 7;
  const Cluster cluster = read_text(formats.substr(first, formats.find("```", first) - first));
  EXPECT_EQ(cluster.name(), "two GPUs");
  ASSERT_EQ(cluster.device_count(), 2U);
  EXPECT_EQ(cluster.kind_of(DeviceId(1)).memory, Bytes(std::int64_t{80} << 30));
  // 1e9 B over 25e9 B/s, and 2 us.
  EXPECT_NEAR(transfer_seconds(cluster, 0, 1, 1'000'000'000), 0.040002, 1e-8 * 0.04);
}

TEST(Platform, DetoursAreKept) {
  // a to c takes three links although a to b and b to c would do with two: no rule about the graph finds that.
  const Cluster cluster = read_text(platform(R"(
    <host id="a" speed="1Gf"/> <host id="b" speed="1Gf"/> <host id="c" speed="1Gf"/>
    <link id="one" bandwidth="10GBps" latency="1us"/>
    <link id="two" bandwidth="10GBps" latency="10us"/>
    <link id="slow" bandwidth="1GBps" latency="100us"/>
    <route src="a" dst="b"><link_ctn id="one"/></route>
    <route src="b" dst="c"><link_ctn id="two"/></route>
    <route src="a" dst="c"><link_ctn id="one"/><link_ctn id="slow"/><link_ctn id="two"/></route>)"));
  EXPECT_EQ(cluster.route(DeviceId(0), DeviceId(2)).links.size(), 3U);
  EXPECT_NEAR(transfer_seconds(cluster, 0, 1, 1'000'000'000), 0.1 + 1e-6, 1e-9);
  EXPECT_NEAR(transfer_seconds(cluster, 0, 2, 1'000'000'000), 1.0 + 111e-6, 1e-8);
  EXPECT_NEAR(transfer_seconds(cluster, 2, 0, 1'000'000'000), 1.0 + 111e-6, 1e-8);
}

TEST(Platform, OneLinkForBothDirectionsIsShared) {
  // SimGrid's plain route: the same link there and back, which a cluster's two directions would not share.
  const Cluster cluster = read_text(platform(R"(
    <host id="a" speed="1Gf"/> <host id="b" speed="1Gf"/> <host id="c" speed="1Gf"/>
    <link id="bus" bandwidth="10GBps" latency="1us"/>
    <route src="a" dst="b"><link_ctn id="bus"/></route>
    <route src="a" dst="c"><link_ctn id="bus"/></route>
    <route src="b" dst="c"><link_ctn id="bus"/></route>)"));
  HandMadeProgram program;
  program.transfer(0, 1, 10'000'000'000);
  program.transfer(2, 0, 10'000'000'000);
  // Two flows of 1 s each when alone.
  EXPECT_NEAR(Simulator(cluster).run(program.build()).report.step.value(), 2.0 + 1e-6, 1e-7);
}

class RoundTrip : public testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, KeepsWhatDecidesTimes) {
  const Cluster original = make_preset_cluster(GetParam());
  const TemporaryFile file(to_platform_xml(original));
  const Cluster copy = read_platform(file.path());
  EXPECT_EQ(copy.name(), original.name());
  EXPECT_EQ(copy.description().collective, original.description().collective);
  ASSERT_EQ(copy.device_count(), original.device_count());
  std::vector<DeviceId> all;
  for (std::size_t i = 0; i < copy.device_count(); ++i) {
    const DeviceId device(i);
    all.push_back(device);
    EXPECT_EQ(copy.device(device).name, original.device(device).name);
    EXPECT_EQ(copy.device(device).node, original.device(device).node);
    const DeviceKind& kind = copy.kind_of(device);
    const DeviceKind& expected = original.kind_of(device);
    EXPECT_EQ(kind.name, expected.name);
    EXPECT_EQ(kind.source, expected.source);
    for (const ComputeClass one : {ComputeClass::Convolution, ComputeClass::Elementwise}) {
      const auto seconds = [&](const DeviceKind& of) {
        return roofline(of, Precision::Bfloat16, one, Flops(1e9), 1e6, 100.0);
      };
      EXPECT_EQ(seconds(kind), seconds(expected));
    }
    EXPECT_EQ(kind.memory, expected.memory);
    EXPECT_EQ(kind.busy_power, expected.busy_power);
    for (std::size_t j = 0; j < copy.device_count(); ++j) {
      if (i == j) continue;
      EXPECT_EQ(copy.route(device, DeviceId(j)).latency, original.route(device, DeviceId(j)).latency);
      EXPECT_EQ(copy.route(device, DeviceId(j)).bandwidth, original.route(device, DeviceId(j)).bandwidth);
    }
  }
  Simulator of_copy(copy);
  Simulator of_original(original);
  const Bytes size(50'000'000);
  const double expected = simulate_all_reduce(of_original, all, size).value();
  EXPECT_NEAR(simulate_all_reduce(of_copy, all, size).value(), expected, 1e-9 * expected);
}

TEST_P(RoundTrip, SimGridAloneSeesTheSameTransferTimes) {
  const Cluster cluster = make_preset_cluster(GetParam());
  const TemporaryFile file(to_platform_xml(cluster));
  const auto last = static_cast<int>(cluster.device_count()) - 1;
  for (const auto& [from, to] : {std::pair(0, last), std::pair(last, last / 2)}) {
    if (from == to) continue;
    const double expected = transfer_seconds(cluster, from, to, 1'000'000'000);
    EXPECT_NEAR(seconds_by_simgrid_alone(file.path(), cluster.device(DeviceId(from)).name,
                                         cluster.device(DeviceId(to)).name, 1'000'000'000),
                expected, 1e-8 * expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, RoundTrip,
                         testing::Values("dgx1-v100", "dgx-a100:nodes=2,fabric=200Gbit/s", "pcie-p40x8",
                                         "workstation-2"));

TEST(Platform, KeepsHowFarTheHostLaunchesAhead) {
  Cluster::Description description = make_star(2).description();
  description.kinds[0].launch_ahead = LaunchAhead::Layer;
  const Cluster copy = read_text(to_platform_xml(Cluster::build(description, "test")));
  EXPECT_EQ(copy.kind_of(DeviceId(0)).launch_ahead, LaunchAhead::Layer);
  EXPECT_EQ(read_text(to_platform_xml(make_star(2))).kind_of(DeviceId(0)).launch_ahead, LaunchAhead::Pass);
}

TEST(Platform, NamesMayHoldAnything) {
  Cluster::Description description = make_star(2).description();
  description.devices[0].name = "GPU <0> & \"first\"";
  description.links[0].name = "it's >up<";
  const Cluster copy = read_text(to_platform_xml(Cluster::build(description, "test")));
  EXPECT_EQ(copy.device(DeviceId(0)).name, description.devices[0].name);
}

TEST(Platform, FaultsAreInputErrorsWithSimGridsMessage) {
  const auto expect = [](const std::string& xml, const std::string& part) {
    const std::string message = message_of(xml);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\">", "SimGrid: ");
  expect("<a>\n<b c=\"&d;\"/>", "SimGrid: ");
  expect(platform("<host id=\"a\" speed=\"fast\"/>"), "SimGrid: ");
  expect(platform("<host id=\"a\" speed=\"1f\"/><host id=\"a\" speed=\"1f\"/>"), "SimGrid: ");
  expect(platform(""), "no host");
  expect(platform("<host id=\"a\" speed=\"1f\"/><host id=\"b\" speed=\"1f\"/>"), "no link");
  expect("{\"schema\": \"gabra/cluster/1\"}", "not XML");
  expect("", "not XML");
  EXPECT_THROW(static_cast<void>(read_platform("/nowhere/at/all.xml")), InputError);
  EXPECT_THROW(static_cast<void>(read_platform("/")), InputError);
}

TEST(Platform, AllBadPropertiesAreReported) {
  const std::string message = message_of(platform(R"(
    <host id="a" speed="1Gf"><prop id="gabra_memory" value="much"/><prop id="gabra_launch" value="-1"/></host>)"));
  EXPECT_NE(message.find("gabra_memory"), std::string::npos) << message;
  EXPECT_NE(message.find("gabra_launch"), std::string::npos) << message;
}

TEST(Platform, SharedLibrariesAreNotLoaded) {
  const TemporaryFile file(platform("<host id=\"a\" speed=\"1Gf\"/>"), ".so");
  EXPECT_THROW(static_cast<void>(read_platform(file.path())), InputError);
}

TEST(ChildProcess, ReturnsWhatTheWorkReturns) {
  std::string large(3'000'000, 'x');
  const ChildOutcome outcome = run_in_child([&] { return large; }, std::chrono::seconds(30));
  EXPECT_EQ(outcome.kind, ChildOutcome::Kind::Done);
  EXPECT_EQ(outcome.text, large);
}

TEST(ChildProcess, TellsFailuresCrashesAndHangsApart) {
  const auto outcome_of = [](const std::function<std::string()>& work) {
    return run_in_child(work, std::chrono::milliseconds(2000));
  };
  const ChildOutcome failed = outcome_of([]() -> std::string { throw Error("no"); });
  EXPECT_EQ(failed.kind, ChildOutcome::Kind::Failed);
  EXPECT_EQ(failed.text, "no");
  const ChildOutcome crashed = outcome_of([]() -> std::string {
    fputs("last words", stderr);
    std::abort();
  });
  EXPECT_EQ(crashed.kind, ChildOutcome::Kind::Crashed);
  EXPECT_EQ(crashed.text, "last words");
  EXPECT_EQ(outcome_of([]() -> std::string { _exit(3); }).kind, ChildOutcome::Kind::Crashed);
  const ChildOutcome hung = run_in_child(
      []() -> std::string {
        for (;;) pause();
      },
      std::chrono::milliseconds(100));
  EXPECT_EQ(hung.kind, ChildOutcome::Kind::TimedOut);
}

}  // namespace
}  // namespace gabra::sim
