// SPDX-License-Identifier: MIT
#pragma once

#include "application.hpp"
#include "flags.hpp"
#include "inputs.hpp"

namespace gabra::cli {

// One pair per command: its flags, and what it does. Each returns the exit status and throws InputError.

void add_optimize_flags(FlagSet& flags);
[[nodiscard]] int run_optimize(const FlagSet& flags, PlatformReader read_platform);

void add_simulate_flags(FlagSet& flags);
[[nodiscard]] int run_simulate(const FlagSet& flags, PlatformReader read_platform);

void add_worker_flags(FlagSet& flags);
[[nodiscard]] int run_worker(const FlagSet& flags);

void add_describe_network_flags(FlagSet& flags);
[[nodiscard]] int run_describe_network(const FlagSet& flags);

void add_describe_cluster_flags(FlagSet& flags);
/// Whether only the program with the simulator can do it: a platform file is read or written.
[[nodiscard]] bool describe_cluster_needs_simulator(const FlagSet& flags);
/// `platform_text` writes a SimGrid platform file.
[[nodiscard]] int run_describe_cluster(const FlagSet& flags, PlatformReader read_platform,
                                       std::string (*platform_text)(const Cluster& cluster));

void add_describe_plan_flags(FlagSet& flags);
[[nodiscard]] int run_describe_plan(const FlagSet& flags);

void add_describe_program_flags(FlagSet& flags);
[[nodiscard]] int run_describe_program(const FlagSet& flags);

void add_train_flags(FlagSet& flags);
void add_predict_flags(FlagSet& flags);
void add_explain_flags(FlagSet& flags);
void add_measure_flags(FlagSet& flags);

void add_calibrate_flags(FlagSet& flags);

void add_validate_flags(FlagSet& flags);
/// Measures with a gabra-exec on as many ranks as the plans have devices; as a rank of an mpirun or srun job, with that
/// job: its first rank asks and prints, the others become gabra-exec.
[[nodiscard]] int run_validate(const FlagSet& flags);

void add_zoo_flags(FlagSet& flags);
[[nodiscard]] int run_zoo(const FlagSet& flags);

}  // namespace gabra::cli
