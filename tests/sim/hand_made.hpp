// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/plan/program.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace gabra::test {

/// A link of a hand-made cluster, both directions alike; vertices by number, devices first.
struct Cable {
  int from = 0;
  int to = 0;
  double bandwidth = 25e9;
  double latency_s = 0.0;
  bool is_fat_pipe = false;
};

struct HandMadeCluster {
  int devices = 2;
  int switches = 0;
  std::vector<Cable> cables;
  double slowdown = 1.0;
  double neighbour_slowdown = 1.0;
  double step_overhead_s = 0.0;
  std::optional<double> receive_slowdown{}, send_slowdown{};
};

inline Cluster make_cluster(const HandMadeCluster& hand_made) {
  Cluster::Description description;
  description.name = "hand-made";
  DeviceKind kind;
  kind.name = "kind";
  kind.peak_float32 = FlopsPerSecond(1e12);
  kind.peak_bfloat16 = FlopsPerSecond(1e12);
  kind.memory = Bytes(std::int64_t{1} << 40);
  kind.memory_bandwidth = BytesPerSecond(1e12);
  kind.idle_power = Watts(10.0);
  kind.busy_power = Watts(100.0);
  kind.communication_slowdown = hand_made.slowdown;
  kind.neighbour_slowdown = hand_made.neighbour_slowdown;
  kind.step_overhead = Seconds(hand_made.step_overhead_s);
  kind.receive_slowdown = hand_made.receive_slowdown;
  kind.send_slowdown = hand_made.send_slowdown;
  kind.source = "made up for a test";
  description.kinds.push_back(kind);
  for (int i = 0; i < hand_made.devices; ++i) {
    description.devices.push_back({.name = "d" + std::to_string(i), .kind = DeviceKindId(0), .node = 0});
  }
  for (int i = 0; i < hand_made.switches; ++i) {
    description.switches.push_back({.name = "s" + std::to_string(i), .node = 0, .is_device = false});
  }
  for (const Cable& cable : hand_made.cables) {
    for (const bool is_back : {false, true}) {
      Link link;
      link.name = "link" + std::to_string(description.links.size());
      link.from = VertexId(is_back ? cable.to : cable.from);
      link.to = VertexId(is_back ? cable.from : cable.to);
      link.bandwidth = BytesPerSecond(cable.bandwidth);
      link.latency = Seconds(cable.latency_s);
      link.is_fat_pipe = cable.is_fat_pipe;
      description.links.push_back(link);
    }
  }
  return Cluster::build(std::move(description), "hand-made");
}

/// `devices` around one switch. Link 2d goes from device d to the switch, link 2d + 1 back.
inline Cluster make_star(int devices, double bandwidth = 25e9, double latency_s = 0.0, double slowdown = 1.0) {
  HandMadeCluster star{.devices = devices, .switches = 1, .cables = {}, .slowdown = slowdown};
  for (int i = 0; i < devices; ++i) {
    star.cables.push_back({.from = i, .to = devices, .bandwidth = bandwidth, .latency_s = latency_s});
  }
  return make_cluster(star);
}

/// Builds a Program instruction by instruction; instructions of one stream run in the order in which they are added.
class HandMadeProgram {
 public:
  InstructionId compute(int device, double seconds, const std::vector<InstructionId>& after = {}) {
    return add(StreamKind::Compute, blank(Opcode::Forward, device, seconds), after);
  }
  InstructionId load(int device, double seconds, const std::vector<InstructionId>& after = {}) {
    return add(StreamKind::Load, blank(Opcode::Load, device, seconds), after);
  }
  /// A Send that starts after `after` and its Receive, which starts after `receive_after`.
  std::pair<InstructionId, InstructionId> transfer(int from, int to, std::int64_t bytes,
                                                   const std::vector<InstructionId>& after = {},
                                                   const std::vector<InstructionId>& receive_after = {}) {
    Instruction send = blank(Opcode::Send, from, 0.0);
    send.peer = DeviceId(to);
    send.bytes = Bytes(bytes);
    Instruction receive = blank(Opcode::Receive, to, 0.0);
    receive.peer = DeviceId(from);
    receive.bytes = Bytes(bytes);
    const InstructionId send_id = add(StreamKind::Send, send, after);
    const InstructionId receive_id = add(StreamKind::Receive, receive, receive_after);
    program_.instructions[send_id.index()].partner = receive_id;
    program_.instructions[receive_id.index()].partner = send_id;
    return {send_id, receive_id};
  }
  /// Members in the order of `devices`; each starts after its entry of `after`, if there are any.
  std::vector<InstructionId> all_reduce(const std::vector<int>& devices, std::int64_t bytes,
                                        const std::vector<InstructionId>& after = {}) {
    Collective collective{.members = {}, .devices = {}, .bytes = Bytes(bytes)};
    for (std::size_t i = 0; i < devices.size(); ++i) {
      Instruction member = blank(Opcode::AllReduce, devices[i], 0.0);
      member.bytes = Bytes(bytes);
      member.collective = static_cast<std::int32_t>(program_.collectives.size());
      const std::vector<InstructionId> before =
          after.empty() ? std::vector<InstructionId>{} : std::vector<InstructionId>{after[i]};
      collective.members.push_back(add(StreamKind::Collective, member, before));
      collective.devices.emplace_back(devices[i]);
    }
    program_.collectives.push_back(collective);
    return collective.members;
  }

  [[nodiscard]] Program build(std::int64_t samples = 1) {
    Program program = program_;
    program.samples = samples;
    program.predecessors = adjacency(predecessors_);
    std::vector<std::vector<InstructionId>> successors(predecessors_.size());
    for (std::size_t i = 0; i < predecessors_.size(); ++i) {
      for (const InstructionId before : predecessors_[i]) successors[before.index()].push_back(InstructionId(i));
    }
    program.successors = adjacency(successors);
    std::map<DeviceId, bool> used;
    for (const Instruction& instruction : program.instructions) used[instruction.device] = true;
    for (const auto& entry : used) program.devices.push_back(entry.first);
    return program;
  }

 private:
  static Instruction blank(Opcode opcode, int device, double seconds) {
    Instruction instruction;
    instruction.opcode = opcode;
    instruction.device = DeviceId(device);
    instruction.seconds = Seconds(seconds);
    return instruction;
  }

  InstructionId add(StreamKind kind, Instruction instruction, std::vector<InstructionId> after) {
    const InstructionId id(program_.instructions.size());
    const auto key = std::tuple(instruction.device, kind, instruction.peer);
    const auto [entry, is_new] = streams_.try_emplace(key, program_.streams.size());
    if (is_new) {
      program_.streams.push_back({.device = instruction.device, .kind = kind, .peer = instruction.peer});
      last_.emplace_back();
    }
    instruction.stream = StreamId(entry->second);
    InstructionId& last = last_[entry->second];
    if (last.is_valid()) after.push_back(last);
    last = id;
    program_.instructions.push_back(instruction);
    predecessors_.push_back(std::move(after));
    return id;
  }

  static Adjacency adjacency(const std::vector<std::vector<InstructionId>>& lists) {
    Adjacency flat;
    flat.offsets.push_back(0);
    for (const std::vector<InstructionId>& list : lists) {
      flat.targets.insert(flat.targets.end(), list.begin(), list.end());
      flat.offsets.push_back(static_cast<std::int32_t>(flat.targets.size()));
    }
    return flat;
  }

  Program program_;
  std::map<std::tuple<DeviceId, StreamKind, DeviceId>, std::size_t> streams_;
  std::vector<InstructionId> last_;  // by stream
  std::vector<std::vector<InstructionId>> predecessors_;
};

}  // namespace gabra::test
