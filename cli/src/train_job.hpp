// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/exec/job.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gabra::cli {

// What `gabra train`, `predict` and `explain` are asked to do; `gabra` checks it before it starts anything, and
// gabra-exec reads it again from the same flags. Each throws InputError with all faults.

[[nodiscard]] exec::TrainJob read_train_job(const FlagSet& flags);
/// Why the plan of a training does not fit its devices, as a sentence; none: it does.
[[nodiscard]] std::optional<std::string> infeasible_reason(const exec::TrainJob& job);
/// For people: where the ranks are not what the devices of the plan were calibrated with.
[[nodiscard]] std::vector<std::string> device_notes(const FlagSet& flags, const exec::TrainJob& job);
[[nodiscard]] exec::PredictJob read_predict_job(const FlagSet& flags);
[[nodiscard]] exec::ExplainJob read_explain_job(const FlagSet& flags);

/// How a job that measures plans computes.
struct MeasureRanks {
  exec::Hardware hardware = exec::Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
  Seconds timeout{60.0};
};
[[nodiscard]] MeasureRanks read_measure_ranks(const FlagSet& flags);

}  // namespace gabra::cli
