// SPDX-License-Identifier: MIT
#include "passes.hpp"

#include <algorithm>
#include <map>

namespace gabra::detail {
namespace {

double length(const Timeline& timeline, std::size_t instruction) {
  const Timeline::Span& span = timeline.spans[instruction];
  return (span.end - span.begin).value();
}

}  // namespace

std::vector<PassTimes> pass_times(const CalibrationRun& run) {
  std::vector<PassTimes> result(run.program.stages.size());
  for (std::size_t i = 0; i < run.program.instructions.size(); ++i) {
    const Instruction& one = run.program.instructions[i];
    for (const Timeline& timeline : run.timelines) {
      if (one.opcode == Opcode::Forward) result[one.stage.index()].forward.push_back(length(timeline, i));
      if (one.opcode == Opcode::Backward && one.segment < 0)
        result[one.stage.index()].backward.push_back(length(timeline, i));
    }
  }
  return result;
}

std::vector<double> durations(const CalibrationRun& run, Opcode opcode) {
  std::vector<double> result;
  for (std::size_t i = 0; i < run.program.instructions.size(); ++i)
    if (run.program.instructions[i].opcode == opcode)
      for (const Timeline& timeline : run.timelines) result.push_back(length(timeline, i));
  return result;
}

std::vector<double> gaps(const CalibrationRun& run) {
  std::vector<double> result;
  std::map<StreamId, std::size_t> last;
  for (std::size_t i = 0; i < run.program.instructions.size(); ++i) {
    const Instruction& one = run.program.instructions[i];
    if (run.program.streams[one.stream.index()].kind != StreamKind::Compute) continue;
    const auto before = last.find(one.stream);
    const bool is_waiting = run.program.predecessors.of(InstructionId(i)).size() > 1;
    if (before != last.end() && !is_waiting)
      for (const Timeline& timeline : run.timelines)
        result.push_back((timeline.spans[i].begin - timeline.spans[before->second].end).value());
    last[one.stream] = i;
  }
  return result;
}

namespace {

bool overlap(const Timeline::Span& a, const Timeline::Span& b) { return a.begin < b.end && b.begin < a.end; }

bool computes(const CalibrationRun& run, std::size_t i) {
  return run.program.streams[run.program.instructions[i].stream.index()].kind == StreamKind::Compute;
}

}  // namespace

std::vector<AwaitedMessage> awaited_messages(const CalibrationRun& run) {
  std::vector<AwaitedMessage> result;
  const auto& instructions = run.program.instructions;
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i].opcode != Opcode::Receive) continue;
    for (const Timeline& timeline : run.timelines) {
      bool is_awaited = true;
      for (std::size_t k = 0; k < instructions.size() && is_awaited; ++k)
        is_awaited = instructions[k].device != instructions[i].device || !computes(run, k) ||
                     !overlap(timeline.spans[i], timeline.spans[k]);
      if (is_awaited) result.push_back({instructions[i].bytes, length(timeline, i)});
    }
  }
  return result;
}

std::vector<PassWithMessages> passes_with_messages(const CalibrationRun& run) {
  std::vector<PassWithMessages> result;
  const auto& instructions = run.program.instructions;
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const Instruction& pass = instructions[i];
    if (pass.opcode != Opcode::Forward && (pass.opcode != Opcode::Backward || pass.segment >= 0)) continue;
    for (const Timeline& timeline : run.timelines) {
      PassWithMessages& one =
          result.emplace_back(PassWithMessages{pass.opcode, pass.stage, length(timeline, i), 0.0, 0.0});
      for (std::size_t k = 0; k < instructions.size(); ++k) {
        const Instruction& message = instructions[k];
        if (message.device != pass.device || !overlap(timeline.spans[i], timeline.spans[k])) continue;
        if (message.opcode == Opcode::Receive) one.received += static_cast<double>(message.bytes.value());
        if (message.opcode == Opcode::Send) one.sent += static_cast<double>(message.bytes.value());
      }
    }
  }
  return result;
}

std::vector<OverlappedBackward> overlapped_backwards(const CalibrationRun& run) {
  struct Place {
    std::size_t first = 0, last = 0;
    std::vector<std::size_t> reductions;
  };
  std::map<DeviceId, Place> places;
  for (std::size_t i = 0; i < run.program.instructions.size(); ++i) {
    const Instruction& one = run.program.instructions[i];
    if (one.opcode == Opcode::Backward && one.segment >= 0) {
      Place& place = places[one.device];
      if (one.segment == 0) place.first = i;
      place.last = i;
    }
    if (one.opcode == Opcode::AllReduce) places[one.device].reductions.push_back(i);
  }
  std::vector<OverlappedBackward> result;
  for (const Timeline& timeline : run.timelines)
    for (const auto& [device, place] : places) {
      const double end = timeline.spans[place.last].end.value();
      OverlappedBackward found{end - timeline.spans[place.first].begin.value(), {}};
      for (const std::size_t i : place.reductions) {
        const Instruction& one = run.program.instructions[i];
        if (timeline.spans[i].begin.value() >= end) continue;
        const auto& group = run.program.collectives[static_cast<std::size_t>(one.collective)].devices;
        found.reductions.emplace_back(one.bytes, static_cast<int>(group.size()));
      }
      result.push_back(std::move(found));
    }
  return result;
}

}  // namespace gabra::detail
