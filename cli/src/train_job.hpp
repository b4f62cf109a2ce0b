// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/exec/job.hpp"

namespace gabra::cli {

// What `gabra train`, `predict` and `explain` are asked to do; `gabra` checks it before it starts anything, and
// gabra-exec reads it again from the same flags. Each throws InputError with all faults.

[[nodiscard]] exec::TrainJob read_train_job(const FlagSet& flags);
[[nodiscard]] exec::PredictJob read_predict_job(const FlagSet& flags);
[[nodiscard]] exec::ExplainJob read_explain_job(const FlagSet& flags);

}  // namespace gabra::cli
