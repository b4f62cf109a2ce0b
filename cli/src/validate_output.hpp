// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/comparison.hpp"

#include <string>

namespace gabra::cli {

/// Tables for people: figures of every plan side by side, its worst instructions, the cause; of a set, all plans in one
/// table and the sums besides.
[[nodiscard]] std::string validate_text(const Validation& validation);

/// The gabra/validation/1 document (docs/formats.md).
[[nodiscard]] std::string validate_json(const Validation& validation);

}  // namespace gabra::cli
