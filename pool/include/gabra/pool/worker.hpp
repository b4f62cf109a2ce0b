// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/evaluator.hpp"
#include "gabra/plan/problem.hpp"

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

namespace gabra::pool {

/// The other end of a pool: reads a header and then plans from `in`, writes an answer for each to `out`, in order
/// (gabra/work/1). `make` gives the evaluator of the header's problem. Returns at the end of `in`: true; false after a
/// line that is none of the format, having said so to `out`. A header of another build is refused like that.
[[nodiscard]] bool serve_plans(std::istream& in, std::ostream& out, const std::string& build,
                               const std::function<std::unique_ptr<Evaluator>(Problem problem)>& make);

}  // namespace gabra::pool
