// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/sim/simulator.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace gabra::sim {
namespace {

std::vector<DeviceId> checked(const Cluster& cluster, std::span<const DeviceId> devices) {
  const std::string allowed = "distinct devices from 0 to " + std::to_string(cluster.device_count() - 1);
  FaultList faults;
  if (devices.empty()) faults.add("all-reduce", "no device", allowed);
  std::vector<DeviceId> sorted(devices.begin(), devices.end());
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::string seen = "device " + std::to_string(sorted[i].value());
    if (!sorted[i].is_valid() || sorted[i].index() >= cluster.device_count()) faults.add("all-reduce", seen, allowed);
    if (i > 0 && sorted[i] == sorted[i - 1]) faults.add("all-reduce", seen + " twice", allowed);
  }
  faults.throw_if_any();
  return sorted;
}

}  // namespace

Seconds simulate_all_reduce(Simulator& simulator, std::span<const DeviceId> devices, Bytes size) {
  Program program;
  program.devices = checked(simulator.cluster(), devices);
  Collective collective{.members = {}, .devices = program.devices, .bytes = size};
  for (const DeviceId device : program.devices) {
    const InstructionId id(program.instructions.size());
    const StreamId stream(program.streams.size());
    program.streams.push_back({.device = device, .kind = StreamKind::Collective, .peer = {}});
    Instruction member;
    member.opcode = Opcode::AllReduce;
    member.collective = 0;
    member.stream = stream;
    member.device = device;
    member.bytes = size;
    program.instructions.push_back(member);
    collective.members.push_back(id);
  }
  program.collectives.push_back(std::move(collective));
  program.predecessors.offsets.assign(program.instructions.size() + 1, 0);
  program.successors.offsets = program.predecessors.offsets;
  return simulator.run(program).timeline.end;
}

}  // namespace gabra::sim
