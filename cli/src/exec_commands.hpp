// SPDX-License-Identifier: MIT
#pragma once

#include "application.hpp"
#include "flags.hpp"

namespace gabra::cli {

/// Runs train (as one rank), predict or explain in this process; returns the exit status. Throws InputError and Error.
[[nodiscard]] int run_exec_command(ExecCommand command, const FlagSet& flags, char** arguments);

}  // namespace gabra::cli
