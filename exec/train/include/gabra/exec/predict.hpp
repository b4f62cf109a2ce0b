// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"

#include <string>

namespace gabra::exec {

/// Probabilities of scans by a checkpoint of `gabra train`, and measures where groups are known; writes the table if
/// asked for. Returns what to print. Throws InputError with all faults.
[[nodiscard]] std::string predict(const PredictJob& job);

/// Grad-CAM (Selvaraju et al., 2017): which parts of the last feature map before the pooled head speak for a class, as
/// a heat map from 0 to 1 in the scan's own space, and as a picture. Returns what to print. Throws InputError.
[[nodiscard]] std::string explain(const ExplainJob& job);

}  // namespace gabra::exec
