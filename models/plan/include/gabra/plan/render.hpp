// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <string>

namespace gabra {

/// What the pictures of a step are drawn from.
struct StepPicture {
  const Problem& problem;
  const Program& program;
  const Timeline& timeline;
  Seconds axis{0.0};  ///< to_svg(): the time axis reaches at least so far, for pictures that are compared
};

/// Chrome trace event JSON, opens in Perfetto: a process per device, a track per stream, flow arrows from Send to
/// Receive, a counter of memory per device.
[[nodiscard]] std::string to_perfetto_trace(const StepPicture& picture);
/// The step as text, one row per device, `columns` wide.
[[nodiscard]] std::string to_gantt_text(const StepPicture& picture, int columns);
/// The step as an SVG document: compute and communication lanes per device, a time axis, a legend.
[[nodiscard]] std::string to_svg(const StepPicture& picture);
/// A Paje trace (SimGrid's format, for Vite and pj_dump).
[[nodiscard]] std::string to_paje_trace(const StepPicture& picture);
/// The gabra/timeline/1 text (docs/formats.md): every instruction with its begin and end, memory over time.
[[nodiscard]] std::string to_timeline_json(const StepPicture& picture);

}  // namespace gabra
