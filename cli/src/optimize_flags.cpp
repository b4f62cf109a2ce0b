// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "hardware_request.hpp"

namespace gabra::cli {

void add_optimize_flags(FlagSet& flags) {
  flags.add("--network", "NETWORK", "a zoo name with options (see gabra zoo), or a file");
  flags.add("--cluster", "CLUSTER", "a preset with options (see gabra zoo), or a file");
  flags.add("--profile", "FILE", "measured layer times; without it the devices' roofline is used");
  add_training_flags(flags);
  flags.add("--micro-batch", "SAMPLES", "fix the size of micro-batches");
  flags.add("--min-micro-batch", "SAMPLES", "smallest size of micro-batches");
  flags.add("--bucket", "SIZES", "sizes of all-reduce buckets to try, for example 25MB or 10MB,100MB");
  flags.add("--max-stages-per-device", "NUMBER", "most stages that share a device; 4 by default");
  flags.add("--objective", "NAME", "time (the default), energy or memory");
  flags.add("--planner", "NAME",
            "gabra (the default), data-parallel, sequential, even-pipeline, or exact for tiny cases");
  flags.add("--seed", "NUMBER", "of the search; 1 by default");
  flags.add("--max-evaluations", "NUMBER", "most plans to price; 4000 by default, 200 with --evaluator exec");
  flags.add("--time-limit", "TIME", "most wall-clock time, for example 60s; makes the result depend on the machine");
  flags.add("--jobs", "NUMBER", "worker processes; without it, this process evaluates plans itself");
  flags.add("--ray", "ADDRESS", "evaluate plans on a Ray cluster: auto or HOST:PORT; --jobs limits its workers");
  flags.add("--plan-timeout", "TIME", "a worker without an answer for so long is replaced; 60s by default");
  add_hardware_flags(flags);
  flags.add("-o,--output", "FILE", "write the plan there");
  flags.add_switch("--json", "one JSON document on stdout");
  flags.add_switch("--quiet", "no progress, and only the result's first line");
}

void add_worker_flags(FlagSet&) {}

}  // namespace gabra::cli
