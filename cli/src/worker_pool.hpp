// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/pool/pool_evaluator.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace gabra::cli {

/// Where the plans of a search are evaluated.
struct PoolRequest {
  std::optional<std::int64_t> jobs;  ///< none: in this process, or, with `ray`, as many as the cluster has
  std::optional<std::string> ray;    ///< "auto" or "HOST:PORT"
  Seconds plan_limit{60.0};
  bool is_quiet = false;  ///< about workers, on stderr, only which plans are set aside
};

/// --jobs, --ray, --plan-timeout, --quiet.
[[nodiscard]] PoolRequest read_pool_request(FlagReader& flags);

/// None: the request is for this process. The programs and the bridge are those beside this one. Throws InputError when
/// they are not there, and Error when they cannot be started.
[[nodiscard]] std::unique_ptr<pool::PoolEvaluator> make_pool(const PoolRequest& request, const Problem& problem);

}  // namespace gabra::cli
