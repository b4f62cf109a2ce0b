// SPDX-License-Identifier: MIT
#include "all_timelines.hpp"

#include "gabra/exec/measured_timeline.hpp"

#include <cstring>
#include <string>

namespace gabra::exec {
namespace {

std::string pack_spans(const std::vector<std::vector<Timeline::Span>>& steps, double clock_offset) {
  std::vector<double> numbers{clock_offset};
  for (const std::vector<Timeline::Span>& spans : steps)
    for (const Timeline::Span& span : spans) {
      numbers.push_back(span.begin.value());
      numbers.push_back(span.end.value());
    }
  std::string bytes(numbers.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

std::vector<double> unpack_spans(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

}  // namespace

std::vector<Timeline> gather_timelines(const Program& program, std::span<const int> ranks,
                                       const std::vector<std::vector<Timeline::Span>>& own, double clock_offset,
                                       const MpiWorld& world) {
  const std::vector<std::string> packed = world.gather(pack_spans(own, clock_offset));
  std::vector<Timeline> result;
  if (packed.empty()) return result;
  std::vector<std::vector<double>> numbers;
  std::vector<double> offsets;
  for (const int rank : ranks) {
    numbers.push_back(unpack_spans(packed[static_cast<std::size_t>(rank)]));
    offsets.push_back(numbers.back().front());
  }
  const std::size_t count = program.instructions.size();
  const std::size_t steps = count == 0 ? 0 : (numbers.front().size() - 1) / (2 * count);
  for (std::size_t step = 0; step < steps; ++step) {
    std::vector<std::vector<Timeline::Span>> spans(numbers.size());
    for (std::size_t r = 0; r < numbers.size(); ++r)
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = 1 + 2 * (step * count + i);
        spans[r].push_back({Seconds(numbers[r].at(at)), Seconds(numbers[r].at(at + 1))});
      }
    result.push_back(merge_spans(program, spans, offsets));
  }
  return result;
}

}  // namespace gabra::exec
