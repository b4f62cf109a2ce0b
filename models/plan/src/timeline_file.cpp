// SPDX-License-Identifier: MIT
#include "gabra/json/reader.hpp"
#include "render_common.hpp"

namespace gabra {
namespace {

using json::Value;

Value to_value(const Stream& stream, const std::vector<std::string>& names) {
  Value value{{"name", describe(stream, names)}, {"device", names[stream.device.index()]}};
  if (stream.peer.is_valid()) value["peer"] = names[stream.peer.index()];
  return value;
}

Value to_value(const Instruction& instruction, const Timeline::Span& span) {
  Value value{{"opcode", to_text(instruction.opcode)},
              {"stream", instruction.stream.value()},
              {"begin_s", span.begin.value()},
              {"end_s", span.end.value()}};
  if (instruction.stage.is_valid()) value["stage"] = instruction.stage.value();
  if (instruction.micro_batch >= 0) value["micro_batch"] = instruction.micro_batch;
  if (instruction.segment >= 0) value["segment"] = instruction.segment;
  if (instruction.tensor >= 0) value["tensor"] = instruction.tensor;
  if (instruction.is_gradient) value["is_gradient"] = true;
  if (instruction.partner.is_valid()) value["partner"] = instruction.partner.value();
  if (instruction.bytes.value() > 0) value["bytes"] = instruction.bytes.value();
  return value;
}

}  // namespace

std::string to_timeline_json(const StepPicture& picture) {
  const std::vector<std::string> names = detail::device_names(picture.problem);
  Value streams = Value::array();
  for (const Stream& stream : picture.program.streams) streams.push_back(to_value(stream, names));
  Value spans = Value::array();
  for (std::size_t i = 0; i < picture.program.instructions.size(); ++i)
    spans.push_back(to_value(picture.program.instructions[i], picture.timeline.spans[i]));
  Value memory = Value::array();
  for (const MemorySample& sample : memory_samples(picture.program, picture.timeline))
    memory.push_back({{"device", names[sample.device.index()]},
                      {"time_s", sample.time.value()},
                      {"in_use_bytes", sample.in_use.value()}});
  const Value value{{"schema", "gabra/timeline/1"},
                    {"network", picture.problem.network->name()},
                    {"cluster", picture.problem.cluster->name()},
                    {"step_time_s", picture.timeline.end.value()},
                    {"samples", picture.program.samples},
                    {"streams", std::move(streams)},
                    {"spans", std::move(spans)},
                    {"memory", std::move(memory)}};
  return value.dump(1, ' ', false, Value::error_handler_t::replace) + "\n";
}

}  // namespace gabra
