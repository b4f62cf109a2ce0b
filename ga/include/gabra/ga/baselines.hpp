// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/search.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gabra::ga {

/// A plan family that people use today, on all devices, with its own best micro-batch count and bucket size.
struct Baseline {
  std::string name;          ///< "one-device", "data-parallel", "sequential", "even-pipeline", "even-gpipe"
  std::optional<Plan> plan;  ///< none: nothing of the family is feasible
  std::optional<StepReport> report;
  std::optional<Infeasible> closest_reason;  ///< when there is no plan: of the one least over its memory limit
};

/// one-device: the best single device of the cluster, what speedup is measured against.
/// data-parallel: one stage on all devices. sequential: stages balanced by predicted time, one micro-batch in flight.
/// even-pipeline: equal unit counts, 1F1B. even-gpipe: the same with GPipe's schedule.
///
/// Each tries every admissible M and bucket size, and two orders of the devices (by number, and a path over the
/// fastest links). A family recomputes (all stages) only when none of its plans fits without. Where a family cannot use
/// all devices it uses as many as it can, the first of the order: as many replicas as there are micro-batches at most,
/// and as many stages as there are units.
[[nodiscard]] std::vector<Baseline> evaluate_baselines(Evaluator& evaluator, const SearchOptions& options);

/// The optimum over the whole space of `options`.
struct Optimum {
  SearchResult result;  ///< its `bounded` plans were ruled out by their lower bound, one by one
  /// Plans in the space, every relabelling of interchangeable devices and every equivalent spelling counted.
  std::int64_t space_size = 0;
  /// Combinations of M, cuts, devices and bucket size, one for all that differ by relabelling interchangeable devices.
  /// Each stands for every schedule and recomputation. All of them were made and bounded.
  std::int64_t layouts = 0;
};

/// By enumeration, for small cases: time and memory grow with Optimum::layouts. Objective::Time only; the budget
/// of `options` is not applied. Layouts and plans whose lower bound is above the best time are not priced (with
/// SearchOptions::uses_bounds). Throws InputError for more than 3 million layouts, symmetric ones counted.
[[nodiscard]] Optimum enumerate_optimum(Evaluator& evaluator, const SearchOptions& options);

}  // namespace gabra::ga
