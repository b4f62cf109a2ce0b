// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"

#include <string>

namespace gabra::cli {

/// Exit statuses of the command; a bug aborts.
enum ExitStatus { kDone = 0, kBadInput = 2, kDeviceFailure = 3, kNoFeasiblePlan = 4 };
/// Between gabra-exec and the `gabra` that started it, in place of kDeviceFailure: a failure that the same training
/// would meet again (a loss that is no number, a full disk, too little memory). Users see kDeviceFailure.
inline constexpr int kLastingFailure = 5;

/// The commands that need the simulator. `gabra` starts the program gabra-sim for them, because loading SimGrid takes
/// longer than everything that `gabra describe` does; gabra-sim runs them.
enum class SimCommand { Optimize, Simulate, Validate, Worker, DescribeCluster };
using RunSimCommand = int (*)(SimCommand command, const FlagSet& flags, char** arguments);

/// The commands that need LibTorch and MPI: `gabra` starts gabra-exec for them, one process for each device of a plan.
enum class ExecCommand { Train, Predict, Explain, Measure, Calibrate };
using RunExecCommand = int (*)(ExecCommand command, const FlagSet& flags, char** arguments);

/// One of the programs gabra, gabra-sim, gabra-exec and what it can do; a null pointer leaves the commands out.
struct Executable {
  std::string name;
  RunSimCommand run_sim_command = nullptr;
  RunExecCommand run_exec_command = nullptr;
  bool serves_measurements = false;  ///< has the command measure, which other programs start
  bool prints_input_faults = true;   ///< false for all ranks of a job but one: they find the same
};

/// Parses the command line, runs what it asks for and returns the exit status. Errors are printed on stderr.
[[nodiscard]] int run_application(int argument_count, char** arguments, const Executable& executable);

/// "0.1.0".
[[nodiscard]] std::string program_version();

/// Writes `text` to stdout. Throws InputError when that fails (a full disk).
void print_to_stdout(const std::string& text);

}  // namespace gabra::cli
