// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/render.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::detail {

/// What a span of a picture shows; the pictures agree on these.
enum class SpanClass : std::uint8_t { Forward, Backward, Recompute, Update, Loss, Load, Send, Receive, Collective };
inline constexpr std::size_t kSpanClassCount = 9;

[[nodiscard]] SpanClass class_of(Opcode opcode);
/// "forward", "backward", ...
[[nodiscard]] std::string_view name_of(SpanClass span_class);
/// Forward to Loss: what the compute lane shows.
[[nodiscard]] bool is_compute(SpanClass span_class);

/// Names of all devices of the cluster, by DeviceId.
[[nodiscard]] std::vector<std::string> device_names(const Problem& problem);

/// Instructions of every stream, by StreamId, in the order in which the stream runs them.
[[nodiscard]] std::vector<std::vector<InstructionId>> instructions_by_stream(const Program& program);

/// Places of a time axis: multiples of 1, 2 or 5 times a power of ten, at most `most` of them up to `end`, 0 included.
struct TimeTick {
  Seconds time;
  std::string label;  ///< "20 ms"
};
[[nodiscard]] std::vector<TimeTick> time_ticks(Seconds end, int most);

/// Characters of UTF-8 `text`, and the text cut to at most `columns` of them (with "~" at the end where it was cut).
[[nodiscard]] std::size_t display_width(std::string_view text);
[[nodiscard]] std::string cut_to_width(std::string_view text, std::size_t columns);

}  // namespace gabra::detail
