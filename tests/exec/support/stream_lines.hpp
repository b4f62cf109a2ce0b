// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace gabra::exec {

/// The instructions of one stream in the order in which a timeline has them.
struct StreamLine {
  StreamId stream;
  std::vector<InstructionId> instructions;
  std::vector<Bytes> bytes;
};

/// One line per stream, by begin, end and number.
[[nodiscard]] inline std::vector<StreamLine> stream_lines(const Program& program, const Timeline& timeline) {
  std::vector<StreamLine> lines(program.streams.size());
  for (std::size_t s = 0; s < lines.size(); ++s) lines[s].stream = StreamId(s);
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    lines[program.instructions[i].stream.index()].instructions.emplace_back(i);
  for (StreamLine& line : lines) {
    const auto key = [&](InstructionId id) {
      const Timeline::Span& span = timeline.spans[id.index()];
      return std::tuple(span.begin, span.end, id);
    };
    std::sort(line.instructions.begin(), line.instructions.end(),
              [&](InstructionId a, InstructionId b) { return key(a) < key(b); });
    for (const InstructionId id : line.instructions) line.bytes.push_back(program.instructions[id.index()].bytes);
  }
  return lines;
}

/// "stream 3: 12:4096 17:4096".
[[nodiscard]] inline std::string to_text(const StreamLine& line) {
  std::string text = "stream " + std::to_string(line.stream.value()) + ":";
  for (std::size_t i = 0; i < line.instructions.size(); ++i)
    text += " " + std::to_string(line.instructions[i].value()) + ":" + std::to_string(line.bytes[i].value());
  return text;
}

}  // namespace gabra::exec
