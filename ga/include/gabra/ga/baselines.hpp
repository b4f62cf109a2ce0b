// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/search.hpp"

#include <string>
#include <vector>

namespace gabra::ga {

/// A plan family that people use today, on all devices, with its own best micro-batch count and bucket size.
struct Baseline {
  std::string name;  ///< "one-device", "data-parallel", "sequential", "even-pipeline"
  std::optional<Plan> plan;  ///< none: nothing of the family is feasible
  std::optional<StepReport> report;
  std::optional<Infeasible> closest_reason;
};

/// one-device: the best single device of the cluster (recomputing only if it must), what speedup is measured against.
/// data-parallel: one stage on all devices. sequential: equal-cost stages, one micro-batch in flight. even-pipeline:
/// equal unit counts, 1F1B. Each tries every admissible M and bucket size.
[[nodiscard]] std::vector<Baseline> evaluate_baselines(Evaluator& evaluator, const SearchOptions& options);

/// The optimum over the whole space of `options` by enumeration, for small cases; `space_size` plans were enumerated.
struct Optimum {
  SearchResult result;
  std::int64_t space_size = 0;
};
[[nodiscard]] Optimum enumerate_optimum(Evaluator& evaluator, const SearchOptions& options);

}  // namespace gabra::ga
