// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/comparison.hpp"

#include <string>
#include <vector>

namespace gabra::cli {

/// Tables for people: everything about one plan, a line per plan of a set.
[[nodiscard]] std::string validate_text(const std::vector<ComparedStep>& steps,
                                        const std::vector<PlanComparison>& comparisons);

/// The gabra/validation/1 document (docs/formats.md).
[[nodiscard]] std::string validate_json(const std::vector<ComparedStep>& steps,
                                        const std::vector<PlanComparison>& comparisons);

}  // namespace gabra::cli
