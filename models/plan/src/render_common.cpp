// SPDX-License-Identifier: MIT
#include "render_common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace gabra::detail {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

SpanClass class_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::Load:
      return SpanClass::Load;
    case Opcode::Forward:
      return SpanClass::Forward;
    case Opcode::Loss:
      return SpanClass::Loss;
    case Opcode::Recompute:
      return SpanClass::Recompute;
    case Opcode::Backward:
      return SpanClass::Backward;
    case Opcode::Send:
      return SpanClass::Send;
    case Opcode::Receive:
      return SpanClass::Receive;
    case Opcode::AllReduce:
    case Opcode::CombineStatistics:
    case Opcode::ClipNorm:
      return SpanClass::Collective;
    case Opcode::Update:
      break;
  }
  return SpanClass::Update;
}

std::string_view name_of(SpanClass span_class) {
  constexpr std::array<std::string_view, kSpanClassCount> kNames{
      "forward", "backward", "recompute", "update", "loss", "load", "send", "receive", "all-reduce"};
  return kNames[static_cast<std::size_t>(span_class)];
}

bool is_compute(SpanClass span_class) { return span_class <= SpanClass::Loss; }

std::vector<std::string> device_names(const Problem& problem) {
  std::vector<std::string> names;
  for (const Device& device : problem.cluster->description().devices) names.push_back(device.name);
  return names;
}

std::vector<std::vector<InstructionId>> instructions_by_stream(const Program& program) {
  std::vector<std::vector<InstructionId>> result(program.streams.size());
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    result[program.instructions[i].stream.index()].push_back(InstructionId(i));
  return result;
}

std::vector<TimeTick> time_ticks(Seconds end, int most) {
  std::vector<TimeTick> ticks{{Seconds(0.0), "0"}};
  if (!(end.value() > 0.0) || most < 2) return ticks;
  const double least_step = end.value() / (most - 1);
  double power = std::pow(10.0, std::floor(std::log10(least_step)));
  double step = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= least_step) break;
  }
  struct Unit {
    double seconds;
    std::string_view name;
  };
  constexpr std::array kUnits{Unit{1.0, "s"}, Unit{1e-3, "ms"}, Unit{1e-6, "us"}, Unit{1e-9, "ns"}};
  const Unit& unit = *std::find_if(kUnits.begin(), kUnits.end() - 1,
                                   [&](const Unit& candidate) { return end.value() >= candidate.seconds * 0.9995; });
  for (int i = 1; i * step <= end.value() * (1.0 + 1e-9); ++i)
    ticks.push_back({Seconds(i * step), fmt::format("{:.6g} {}", i * step / unit.seconds, unit.name)});
  return ticks;
}

std::size_t display_width(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

std::string cut_to_width(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  std::size_t bytes = 0;
  for (std::size_t kept = 0; kept + 1 < columns; ++kept) {
    ++bytes;
    while (bytes < text.size() && is_continuation(text[bytes])) ++bytes;
  }
  return std::string(text.substr(0, bytes)) + "~";
}

}  // namespace gabra::detail
