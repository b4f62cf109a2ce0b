// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"

namespace gabra::cli {

/// `gabra train`: checks the flags and the plan, then starts `mpirun -np DEVICES gabra-exec train ...` and returns its
/// exit status: 0, 2 (bad input), 3 (a rank failed or was killed), 4 (the plan does not fit its devices), or 128 + the
/// signal that interrupted it; starts again with --resume at most as often as --max-restarts says, after what a restart
/// may mend. A rank of an mpirun or srun job becomes gabra-exec instead.
/// Ctrl-C and SIGTERM are handed on; no rank outlives this process.
/// Throws InputError.
[[nodiscard]] int run_train_launcher(const FlagSet& flags, char** arguments);

/// Likewise for `gabra calibrate`; with --from-table nothing is started.
[[nodiscard]] int run_calibrate_launcher(const FlagSet& flags, char** arguments);

}  // namespace gabra::cli
