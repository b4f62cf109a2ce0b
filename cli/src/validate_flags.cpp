// SPDX-License-Identifier: MIT
#include "commands.hpp"

namespace gabra::cli {

void add_validate_flags(FlagSet& flags) {
  flags.add("--plan", "FILE", "a plan file: it is run and simulated");
  flags.add("--plans", "DIR", "in place of --plan: every *.json there");
  flags.add("--cluster", "FILE", "a calibrated machine in place of the plan's cluster");
  flags.add("--profile", "FILE", "its measured layer times");
  flags.add("--steps", "NUMBER", "steps to measure of each plan; 20 by default");
  flags.add("--rounds", "NUMBER", "in which they are measured, every plan once in each; 3 by default");
  flags.add("--html", "FILE", "write a page with tables and pictures");
  flags.add("--trace", "FILE", "write the steps of both into one trace for ui.perfetto.dev");
  flags.add("--device", "NAME", "cpu or cuda: what the cluster was calibrated on, else cpu");
  flags.add("--threads-per-rank", "NUMBER",
            "each rank is bound to as many cores; as many as the cluster was calibrated with, else 1");
  flags.add("--seed", "NUMBER", "of weights and samples; 0 by default");
  flags.add("--timeout", "TIME", "a transfer without progress for so long is a failure; 10min by default");
  flags.add("--launcher", "NAME", "mpirun (the default) or srun: what starts the ranks");
  flags.add("--hosts", "LIST", "machines, handed to mpirun --host");
  flags.add("--hostfile", "FILE", "machines, handed to mpirun --hostfile");
  flags.add_switch("--json", "one JSON document on stdout");
  flags.add_switch("--quiet", "no progress on stderr");
}

}  // namespace gabra::cli
