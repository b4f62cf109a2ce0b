// SPDX-License-Identifier: MIT
#include "gabra/exec/measured_timeline.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace gabra::exec {
namespace {

/// What runs together begins when its last member was there.
void join_begins(const Program& program, std::vector<Timeline::Span>& spans) {
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const InstructionId partner = program.instructions[i].partner;
    if (!partner.is_valid() || partner < InstructionId(i)) continue;
    Timeline::Span& other = spans[partner.index()];
    spans[i].begin = other.begin = std::max(spans[i].begin, other.begin);
  }
  for (const Collective& collective : program.collectives) {
    Seconds begin(-std::numeric_limits<double>::infinity());
    for (const InstructionId member : collective.members) begin = std::max(begin, spans[member.index()].begin);
    for (const InstructionId member : collective.members) spans[member.index()].begin = begin;
  }
  // A small message may be on its way before its receiver asks for it.
  for (Timeline::Span& span : spans) span.end = std::max(span.end, span.begin);
}

std::string pack(std::span<const Timeline::Span> spans, double offset) {
  std::vector<double> numbers{offset};
  for (const Timeline::Span& span : spans) {
    numbers.push_back(span.begin.value());
    numbers.push_back(span.end.value());
  }
  std::string bytes(numbers.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

double unpack(const std::string& bytes, std::vector<Timeline::Span>& spans) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  for (std::size_t i = 1; i + 1 < numbers.size(); i += 2)
    spans.push_back({Seconds(numbers[i]), Seconds(numbers[i + 1])});
  return numbers.front();
}

}  // namespace

Timeline merge_spans(const Program& program, std::span<const std::vector<Timeline::Span>> spans,
                     std::span<const double> offsets) {
  Timeline timeline;
  for (const Instruction& one : program.instructions) {
    const auto rank = static_cast<std::size_t>(
        std::lower_bound(program.devices.begin(), program.devices.end(), one.device) - program.devices.begin());
    GABRA_CHECK(spans[rank].size() == program.instructions.size(), "a rank has not recorded the step");
    const Timeline::Span& span = spans[rank][timeline.spans.size()];
    timeline.spans.push_back({span.begin + Seconds(offsets[rank]), span.end + Seconds(offsets[rank])});
  }
  if (timeline.spans.empty()) return timeline;
  Seconds start(std::numeric_limits<double>::infinity());
  for (const Timeline::Span& span : timeline.spans) start = std::min(start, span.begin);
  join_begins(program, timeline.spans);
  for (Timeline::Span& span : timeline.spans) {
    span.begin -= start;
    span.end -= start;
    timeline.end = std::max(timeline.end, span.end);
  }
  return timeline;
}

Timeline gather_timeline(const Program& program, std::span<const Timeline::Span> own, const MpiWorld& world) {
  const double offset = world.clock_offset();
  const std::vector<std::string> packed = world.gather(pack(own, offset));
  if (packed.empty()) return {};
  std::vector<std::vector<Timeline::Span>> spans(packed.size());
  std::vector<double> offsets;
  for (std::size_t r = 0; r < packed.size(); ++r) offsets.push_back(unpack(packed[r], spans[r]));
  return merge_spans(program, spans, offsets);
}

}  // namespace gabra::exec
