// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "gabra/json/reader.hpp"
#include "gabra/plan/compiler.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

namespace gabra::cli {
namespace {

using json::Value;

std::vector<std::string> all_device_names(const Problem& problem) {
  std::vector<std::string> names;
  for (const Device& device : problem.cluster->description().devices) names.push_back(device.name);
  return names;
}

/// Numbers of the instructions that `id` waits for on other streams; the one before it on its own goes without saying.
std::string waits_for(const Program& program, InstructionId id) {
  std::string text;
  for (const InstructionId earlier : program.predecessors.of(id))
    if (program.instructions[earlier.index()].stream != program.instructions[id.index()].stream)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", earlier.value());
  return text;
}

std::string stream_text(const Program& program, StreamId stream, const std::vector<std::string>& names) {
  Table table({{"number", Table::Align::Right},
               {"instruction"},
               {"predicted", Table::Align::Right},
               {"bytes", Table::Align::Right},
               {"waits for"}});
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& instruction = program.instructions[i];
    if (instruction.stream != stream) continue;
    table.add_row({std::to_string(i), describe(instruction),
                   instruction.seconds.value() > 0.0 ? to_text(instruction.seconds) : "",
                   instruction.bytes.value() > 0 ? with_commas(instruction.bytes.value()) : "",
                   waits_for(program, InstructionId(i))});
  }
  return describe(program.streams[stream.index()], names) + "\n" + table.to_text();
}

Value to_value(const Program& program, InstructionId id) {
  const Instruction& instruction = program.instructions[id.index()];
  Value value{{"opcode", to_text(instruction.opcode)}, {"stream", instruction.stream.value()}};
  if (instruction.stage.is_valid()) value["stage"] = instruction.stage.value();
  if (instruction.micro_batch >= 0) value["micro_batch"] = instruction.micro_batch;
  if (instruction.segment >= 0) value["segment"] = instruction.segment;
  if (instruction.tensor >= 0) value["tensor"] = instruction.tensor;
  if (instruction.is_gradient) value["is_gradient"] = true;
  if (instruction.partner.is_valid()) value["partner"] = instruction.partner.value();
  if (instruction.collective >= 0) value["collective"] = instruction.collective;
  value["bytes"] = instruction.bytes.value();
  value["predicted_s"] = instruction.seconds.value();
  Value after = Value::array();
  for (const InstructionId earlier : program.predecessors.of(id)) after.push_back(earlier.value());
  value["after"] = std::move(after);
  return value;
}

std::string to_json(const Problem& problem, const Program& program) {
  const std::vector<std::string> names = all_device_names(problem);
  Value streams = Value::array();
  for (const Stream& stream : program.streams) {
    Value value{{"name", describe(stream, names)}, {"device", names[stream.device.index()]}};
    if (stream.peer.is_valid()) value["peer"] = names[stream.peer.index()];
    streams.push_back(std::move(value));
  }
  Value instructions = Value::array();
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    instructions.push_back(to_value(program, InstructionId(i)));
  Value peaks = Value::object();
  for (const DeviceId device : program.devices)
    peaks[names[device.index()]] = program.peak_memory[device.index()].value();
  const Value value{{"schema", "gabra/program/1"},
                    {"samples", program.samples},
                    {"peak_memory_bytes", std::move(peaks)},
                    {"streams", std::move(streams)},
                    {"instructions", std::move(instructions)}};
  return value.dump(1, ' ', false, Value::error_handler_t::replace) + "\n";
}

}  // namespace

void add_describe_program_flags(FlagSet& flags) {
  flags.add_positional("PLAN", "a plan file");
  flags.add("--cluster", "CLUSTER",
            "use this cluster in place of the plan's own; its devices must have the same names");
  flags.add("--profile", "FILE", "use these measured layer times");
  flags.add_switch("--json", "write the instructions as one JSON document on stdout");
}

int run_describe_program(const FlagSet& flags) {
  FaultList faults;
  FlagReader reader(flags, faults);
  InputLoader loader(reader, nullptr);
  const auto name = reader.required("PLAN", "a plan file");
  const auto file = name ? loader.plan("PLAN", loader.cluster("--cluster"), loader.profile("--profile")) : std::nullopt;
  faults.throw_if_any();
  Compiler compiler(file->problem);
  const auto compiled = compiler.compile(file->plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    fmt::print(stderr, "gabra: the plan cannot run: {}\n", infeasible_text(*reason, *file->problem.cluster));
    return kNoFeasiblePlan;
  }
  const auto& program = std::get<Program>(compiled);
  if (reader.is_on("--json")) {
    print_to_stdout(to_json(file->problem, program));
    return kDone;
  }
  const std::vector<std::string> names = all_device_names(file->problem);
  std::string text = problem_line(file->problem);
  text +=
      fmt::format("{} instructions on {} streams of {} devices; numbers are in a topological order of the program\n",
                  program.instructions.size(), program.streams.size(), program.devices.size());
  for (const DeviceId device : program.devices)
    for (std::size_t i = 0; i < program.streams.size(); ++i)
      if (program.streams[i].device == device) text += "\n" + stream_text(program, StreamId(i), names);
  print_to_stdout(text);
  return kDone;
}

}  // namespace gabra::cli
