// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/measure.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "load_gauge.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace gabra::exec {

/// What one rank knows after it has run a plan.
struct RankRecord {
  Measurement::End end = Measurement::End::Complete;
  std::vector<Seconds> steps;      ///< agreed: the slowest rank's
  std::vector<Seconds> own_steps;  ///< this rank's
  std::vector<double> slowness;    ///< agreed: the most disturbed rank's; empty where nobody looked
  Bytes peak_memory;
  double clock_offset = 0.0;
  std::vector<Timeline::Span> spans;                   ///< of one step
  std::vector<std::vector<Timeline::Span>> all_spans;  ///< of every step that counted

  void keep_spans_of(std::size_t step) {
    spans = std::move(all_spans.at(step));
    all_spans.clear();
  }
};

/// With whom and on what a rank runs.
struct RankParts {
  Hardware hardware = Hardware::Cpu;
  const MpiWorld& world;  ///< of the ranks that run the plan
  Communicator& communicator;
  Monitor* monitor = nullptr;
  LoadGauge* gauge = nullptr;  ///< of this rank; null: disturbances are not looked for
};

/// This rank's part of the plan: model, warm-up, steps. Collective over the ranks of the plan.
[[nodiscard]] RankRecord run_rank(const Problem& problem, const Program& program, const MeasureOptions& options,
                                  const RankParts& parts);

/// As bytes, without all_spans; for ranks of one kind of machine.
[[nodiscard]] std::string pack(const RankRecord& record);
[[nodiscard]] RankRecord unpack(const std::string& bytes);

}  // namespace gabra::exec
