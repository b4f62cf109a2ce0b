// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/exec/calibrate_job.hpp"

namespace gabra::cli {

/// The flags of `gabra calibrate` on ranks, read and checked. Throws InputError with every fault.
[[nodiscard]] exec::CalibrateJob read_calibrate_job(const FlagSet& flags);

/// `gabra calibrate --from-table`: no ranks, figures of somebody else. Returns the exit status; throws InputError.
[[nodiscard]] int run_calibrate_from_tables(const FlagSet& flags);

}  // namespace gabra::cli
