// SPDX-License-Identifier: MIT
#pragma once

#include "evaluation.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/plan/program.hpp"
#include "people.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

/// What a training was and gave, for the end of it.
struct TrainSummary {
  std::uint64_t seed = 0;
  std::int64_t first_step = 1;  ///< after a checkpoint: not 1
  std::int64_t steps = 0;       ///< of the whole training
  std::int64_t epochs = 0;      ///< whole ones
  std::vector<double> losses;   ///< of the steps of this run
  std::vector<double> step_seconds;
  double elapsed_s = 0.0;
  std::vector<std::int64_t> peak_memory_bytes;  ///< by rank
  std::vector<std::int64_t> peak_rss_bytes;     ///< by rank
  std::optional<PartResult> validation, test;   ///< of the last weights
  std::string checkpoint, best;                 ///< files; empty: none
  std::vector<data::LeftOut> left_out;
  std::optional<People> people;  ///< none: samples of nobody
};

/// Median, the first two steps left out where there are more: they warm up.
[[nodiscard]] double median_step(const std::vector<double>& seconds);
/// Part results as documents; null without.
[[nodiscard]] json::Value to_value(const std::optional<PartResult>& part, const std::vector<std::string>& classes);

[[nodiscard]] std::string to_text(const TrainSummary& summary, const TrainJob& job, const Program& program);
[[nodiscard]] std::string to_json_text(const TrainSummary& summary, const TrainJob& job, const Program& program,
                                       const std::vector<std::string>& classes);

}  // namespace gabra::exec
