// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"
#include "render_common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

using detail::class_of;
using detail::name_of;
using json::Value;

/// The trace's clock: whole nanoseconds, written as microseconds with three decimals. Rounding begin and end (not the
/// duration) keeps spans that touch from overlapping.
std::int64_t nanoseconds(Seconds time) { return std::llround(time.value() * 1e9); }
double microseconds(std::int64_t time) { return static_cast<double>(time) / 1000.0; }

class PerfettoWriter {
 public:
  explicit PerfettoWriter(const StepPicture& picture)
      : program_(picture.program), timeline_(picture.timeline), names_(detail::device_names(picture.problem)) {
    text_ = fmt::format("{{\"displayTimeUnit\":\"ms\",\"otherData\":{},\"traceEvents\":[",
                        Value{{"schema", "gabra/trace/1"},
                              {"network", picture.problem.network->name()},
                              {"cluster", picture.problem.cluster->name()},
                              {"step_time_s", timeline_.end.value()}}
                            .dump(-1, ' ', false, Value::error_handler_t::replace));
  }

  std::string write() {
    write_names();
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) write_span(InstructionId(i));
    for (std::size_t i = 0; i < program_.instructions.size(); ++i)
      if (program_.instructions[i].opcode == Opcode::Send) write_flow(InstructionId(i));
    write_memory();
    return std::move(text_) + "\n]}\n";
  }

 private:
  static int process(DeviceId device) { return device.value() + 1; }
  static int thread(StreamId stream) { return stream.value() + 1; }

  void put(const Value& event) {
    text_ += is_first_ ? "\n" : ",\n";
    is_first_ = false;
    text_ += event.dump(-1, ' ', false, Value::error_handler_t::replace);
  }

  void write_names() {
    for (const DeviceId device : program_.devices) {
      put({{"ph", "M"},
           {"name", "process_name"},
           {"pid", process(device)},
           {"args", {{"name", names_[device.index()]}}}});
      put({{"ph", "M"},
           {"name", "process_sort_index"},
           {"pid", process(device)},
           {"args", {{"sort_index", device.value()}}}});
    }
    for (std::size_t i = 0; i < program_.streams.size(); ++i) {
      const Stream& stream = program_.streams[i];
      const Value place{{"pid", process(stream.device)}, {"tid", thread(StreamId(i))}};
      Value name{{"ph", "M"}, {"name", "thread_name"}, {"args", {{"name", describe(stream, names_)}}}};
      name.update(place);
      put(name);
      Value order{{"ph", "M"}, {"name", "thread_sort_index"}, {"args", {{"sort_index", sort_index(stream)}}}};
      order.update(place);
      put(order);
    }
  }

  /// Compute first, then transfers by peer, collectives, loading.
  [[nodiscard]] int sort_index(const Stream& stream) const {
    const int devices = static_cast<int>(names_.size());
    switch (stream.kind) {
      case StreamKind::Compute:
        return 0;
      case StreamKind::Collective:
        return 1;
      case StreamKind::Send:
        return 2 + stream.peer.value();
      case StreamKind::Receive:
        return 2 + devices + stream.peer.value();
      case StreamKind::Load:
        break;
    }
    return 2 + 2 * devices;
  }

  void write_span(InstructionId id) {
    const Instruction& instruction = program_.instructions[id.index()];
    const std::int64_t begin = nanoseconds(timeline_.spans[id.index()].begin);
    const std::int64_t end = nanoseconds(timeline_.spans[id.index()].end);
    Value arguments{{"instruction", id.value()}};
    if (instruction.stage.is_valid()) arguments["stage"] = instruction.stage.value();
    if (instruction.micro_batch >= 0) arguments["micro_batch"] = instruction.micro_batch;
    if (instruction.segment >= 0)
      arguments[instruction.opcode == Opcode::AllReduce ? "bucket" : "segment"] = instruction.segment;
    if (instruction.tensor >= 0) arguments["tensor"] = instruction.tensor;
    if (instruction.opcode == Opcode::Send || instruction.opcode == Opcode::Receive)
      arguments["is_gradient"] = instruction.is_gradient;
    if (instruction.peer.is_valid()) arguments["peer"] = names_[instruction.peer.index()];
    if (instruction.bytes.value() > 0) arguments["bytes"] = instruction.bytes.value();
    put({{"ph", "X"},
         {"name", describe(instruction)},
         {"cat", name_of(class_of(instruction.opcode))},
         {"pid", process(instruction.device)},
         {"tid", thread(instruction.stream)},
         {"ts", microseconds(begin)},
         {"dur", microseconds(end - begin)},
         {"args", std::move(arguments)}});
  }

  /// From the beginning of the Send to the last nanosecond of its Receive: an arrow's ends must lie inside the spans.
  void write_flow(InstructionId send) {
    const Instruction& from = program_.instructions[send.index()];
    if (!from.partner.is_valid()) return;
    const Instruction& to = program_.instructions[from.partner.index()];
    const std::int64_t begin = nanoseconds(timeline_.spans[send.index()].begin);
    const Timeline::Span& arrival = timeline_.spans[from.partner.index()];
    const std::int64_t end = std::max(nanoseconds(arrival.begin), nanoseconds(arrival.end) - 1);
    const std::string_view name = from.is_gradient ? "gradient" : "activation";
    put({{"ph", "s"},
         {"name", name},
         {"cat", "transfer"},
         {"id", send.value()},
         {"pid", process(from.device)},
         {"tid", thread(from.stream)},
         {"ts", microseconds(begin)}});
    put({{"ph", "f"},
         {"bp", "e"},
         {"name", name},
         {"cat", "transfer"},
         {"id", send.value()},
         {"pid", process(to.device)},
         {"tid", thread(to.stream)},
         {"ts", microseconds(end)}});
  }

  void write_memory() {
    for (const MemorySample& sample : memory_samples(program_, timeline_))
      put({{"ph", "C"},
           {"name", "memory"},
           {"pid", process(sample.device)},
           {"ts", microseconds(nanoseconds(sample.time))},
           {"args", {{"bytes", sample.in_use.value()}}}});
  }

  const Program& program_;
  const Timeline& timeline_;
  std::vector<std::string> names_;
  std::string text_;
  bool is_first_ = true;
};

}  // namespace

std::string to_perfetto_trace(const StepPicture& picture) { return PerfettoWriter(picture).write(); }

}  // namespace gabra
