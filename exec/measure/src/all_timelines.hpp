// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/mpi_world.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <span>
#include <vector>

namespace gabra::exec {

/// The timeline of every step at rank 0 of the job, from each rank's own spans by step (none on ranks without a device
/// of the Program); `ranks` are those that ran it, in the order of Program::devices. Collective.
[[nodiscard]] std::vector<Timeline> gather_timelines(const Program& program, std::span<const int> ranks,
                                                     const std::vector<std::vector<Timeline::Span>>& own,
                                                     double clock_offset, const MpiWorld& world);

}  // namespace gabra::exec
