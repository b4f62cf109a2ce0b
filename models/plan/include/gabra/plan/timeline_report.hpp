// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <span>

namespace gabra {

/// Where the time of a step went, read off its timeline, by the same rules as the simulator's own report: a device
/// computes while one of its compute streams does; a transfer belongs to both of its sides, a collective to all
/// members. `peak_memory` is by Cluster device; empty: the Program's. Links: bytes of transfers over cluster.route(),
/// and how long at least one was under way; collectives are left out, since a timeline does not say which links they
/// took.
[[nodiscard]] StepReport report_of(const Cluster& cluster, const Program& program, const Timeline& timeline,
                                   std::span<const Bytes> peak_memory = {});

}  // namespace gabra
