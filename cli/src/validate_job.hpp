// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/exec/validate_job.hpp"

namespace gabra::cli {

/// The flags of `gabra validate`, read and checked, all plans with them. Throws InputError with every fault.
[[nodiscard]] exec::ValidateJob read_validate_job(const FlagSet& flags);

}  // namespace gabra::cli
