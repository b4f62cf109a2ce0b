// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/plan/plan.hpp"

#include <string>
#include <vector>

namespace gabra::detail {

/// What find_faults() says, with `where` a path within the plan: "stages[2].devices[0]".
[[nodiscard]] std::vector<Fault> find_plan_faults(const Problem& problem, const Plan& plan);

}  // namespace gabra::detail
