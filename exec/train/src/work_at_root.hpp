// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <functional>
#include <string>

namespace gabra::exec {

/// Runs `work` at rank 0, in a thread of its own, while all ranks answer each other: work that takes longer than the
/// monitor's time limit is none that hangs, and a rank that does not answer meanwhile still ends the run. `what` is
/// the work, for people: "the checkpoint of step 5". Collective; rank 0 throws what `work` throws.
void work_at_root(const MpiWorld& world, Monitor& monitor, const std::string& what, const std::function<void()>& work);

}  // namespace gabra::exec
