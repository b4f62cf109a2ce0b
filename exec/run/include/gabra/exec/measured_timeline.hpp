// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/mpi_world.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <span>
#include <vector>

namespace gabra::exec {

/// One timeline from the spans of every rank (by InstructionId, each on its rank's clock): the step begins at 0, a
/// Send, its Receive and the members of a collective begin when the last of them was there. `offsets[r]` is added to
/// the spans of rank r.
[[nodiscard]] Timeline merge_spans(const Program& program, std::span<const std::vector<Timeline::Span>> spans,
                                   std::span<const double> offsets);

/// The measured timeline of a step, at rank 0; empty elsewhere. Collective over all ranks; ranks without a device of
/// the Program give no spans.
[[nodiscard]] Timeline gather_timeline(const Program& program, std::span<const Timeline::Span> own,
                                       const MpiWorld& world);

}  // namespace gabra::exec
