// SPDX-License-Identifier: MIT
#include "gabra/cluster/collective.hpp"
#include "gabra/plan/timeline_report.hpp"
#include "gabra/sim/simulator.hpp"

#include "random_program.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace gabra::sim {
namespace {

using test::make_star;
using test::random_program;

constexpr int kDevices = 5;
constexpr double kBandwidth = 10e9;
constexpr double kLatency = 3e-6;
constexpr double kTolerance = 1e-9;  // seconds; steps here last milliseconds

/// What one instruction takes at least, whatever else runs.
double least_seconds(const Program& program, const Instruction& instruction, CollectiveModel& model) {
  if (instruction.opcode == Opcode::Send || instruction.opcode == Opcode::Receive) {
    return 2.0 * kLatency + static_cast<double>(instruction.bytes.value()) / kBandwidth;
  }
  if (instruction.collective < 0) return instruction.seconds.value();
  const Collective& collective = program.collectives[static_cast<std::size_t>(instruction.collective)];
  const AllReduceLayout& layout = model.all_reduce(collective.devices, collective.bytes);
  double most = 0.0;
  for (const CollectiveFlow& flow : layout.flows) most = std::max(most, flow.bytes);
  return layout.latency.value() + most / kBandwidth;
}

/// A random Program and its simulation.
struct Case {
  explicit Case(std::uint64_t seed)
      : cluster(make_star(kDevices, kBandwidth, kLatency)),
        model(cluster),
        program(random_program(seed, kDevices, 80)),
        simulation(Simulator(cluster).run(program)) {}

  Cluster cluster;
  CollectiveModel model;
  Program program;
  Simulation simulation;
};

/// Runs `law` on 40 cases.
template <class Law>
void check(Law law) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Case sample(seed);
    law(sample.program, sample.simulation, sample.model);
  }
}

TEST(Laws, NothingStartsBeforeItsPredecessorsAreDone) {
  check([](const Program& program, const Simulation& simulation, CollectiveModel& model) {
    for (std::size_t i = 0; i < program.instructions.size(); ++i) {
      const Timeline::Span& span = simulation.timeline.spans[i];
      for (const InstructionId before : program.predecessors.of(InstructionId(i))) {
        EXPECT_LE(simulation.timeline.spans[before.index()].end, span.begin) << "instruction " << i;
      }
      const double least = least_seconds(program, program.instructions[i], model);
      EXPECT_GE((span.end - span.begin).value(), least - kTolerance) << "instruction " << i;
    }
  });
}

TEST(Laws, StepIsAtLeastTheCriticalPath) {
  check([](const Program& program, const Simulation& simulation, CollectiveModel& model) {
    std::vector<double> earliest(program.instructions.size(), 0.0);  // end, nothing being contended
    for (std::size_t i = 0; i < earliest.size(); ++i) {
      double begin = 0.0;
      for (const InstructionId before : program.predecessors.of(InstructionId(i))) {
        begin = std::max(begin, earliest[before.index()]);
      }
      earliest[i] = begin + least_seconds(program, program.instructions[i], model);
    }
    const double critical = earliest.empty() ? 0.0 : *std::max_element(earliest.begin(), earliest.end());
    EXPECT_GE(simulation.report.step.value(), critical - kTolerance);
  });
}

TEST(Laws, StepIsAtLeastTheWorkOfEveryDeviceAndLink) {
  check([](const Program& program, const Simulation& simulation, CollectiveModel& /*model*/) {
    std::map<DeviceId, double> work;
    for (const Instruction& instruction : program.instructions) {
      if (program.streams[instruction.stream.index()].kind == StreamKind::Compute) {
        work[instruction.device] += instruction.seconds.value();
      }
    }
    for (const DeviceReport& device : simulation.report.devices) {
      EXPECT_NEAR(device.compute.value(), work[device.device], kTolerance);
      EXPECT_GE(simulation.report.step.value(), device.compute.value() - kTolerance);
    }
    for (const LinkReport& link : simulation.report.links) {
      EXPECT_GE(link.busy.value(), link.bytes / kBandwidth - kTolerance);
      EXPECT_GE(simulation.report.step.value(), link.busy.value() - kTolerance);
    }
  });
}

TEST(Laws, AReportCanBeReadOffTheTimeline) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Case sample(seed);
    const StepReport& expected = sample.simulation.report;
    const StepReport read = report_of(sample.cluster, sample.program, sample.simulation.timeline);
    EXPECT_EQ(read.step, expected.step);
    EXPECT_NEAR(read.bubble_fraction, expected.bubble_fraction, kTolerance);
    EXPECT_NEAR(read.exposed_communication.value(), expected.exposed_communication.value(), kTolerance);
    EXPECT_NEAR(read.energy.value(), expected.energy.value(), 1e-6 * expected.energy.value());
    ASSERT_EQ(read.devices.size(), expected.devices.size());
    for (std::size_t i = 0; i < read.devices.size(); ++i) {
      EXPECT_EQ(read.devices[i].device, expected.devices[i].device);
      EXPECT_NEAR(read.devices[i].compute.value(), expected.devices[i].compute.value(), kTolerance);
      EXPECT_NEAR(read.devices[i].exposed_communication.value(), expected.devices[i].exposed_communication.value(),
                  kTolerance);
      EXPECT_NEAR(read.devices[i].bubble.value(), expected.devices[i].bubble.value(), kTolerance);
      EXPECT_EQ(read.devices[i].peak_memory, expected.devices[i].peak_memory);
    }
  }
}

TEST(Laws, BytesSentAreBytesReceived) {
  check([](const Program& program, const Simulation& simulation, CollectiveModel& model) {
    double sent = 0.0;
    for (const Instruction& instruction : program.instructions) {
      if (instruction.opcode == Opcode::Send) sent += static_cast<double>(instruction.bytes.value());
    }
    for (const Collective& collective : program.collectives) {
      for (const CollectiveFlow& flow : model.all_reduce(collective.devices, collective.bytes).flows)
        sent += flow.bytes;
    }
    double up = 0.0;
    double down = 0.0;
    for (const LinkReport& link : simulation.report.links) (link.link.value() % 2 == 0 ? up : down) += link.bytes;
    EXPECT_NEAR(up, sent, 1e-12 * sent);
    EXPECT_NEAR(down, sent, 1e-12 * sent);
  });
}

TEST(Laws, ComputeExposedCommunicationAndBubbleFillTheStep) {
  check([](const Program& /*program*/, const Simulation& simulation, CollectiveModel& /*model*/) {
    for (const DeviceReport& device : simulation.report.devices) {
      const Seconds sum = device.compute + device.exposed_communication + device.bubble;
      EXPECT_NEAR(sum.value(), simulation.report.step.value(), 1e-12);
      EXPECT_GE(device.exposed_communication.value(), 0.0);
      EXPECT_GE(device.bubble.value(), 0.0);
    }
  });
}

}  // namespace
}  // namespace gabra::sim
