// SPDX-License-Identifier: MIT
#include "commands.hpp"

namespace gabra::cli {

void add_simulate_flags(FlagSet& flags) {
  flags.add("--plan", "FILE", "a plan file; --cluster and --profile beside it replace its own");
  flags.add("--network", "NETWORK", "a zoo name with options, or a file");
  flags.add("--cluster", "CLUSTER", "a preset with options, or a file");
  flags.add("--profile", "FILE", "measured layer times");
  add_training_flags(flags);
  flags.add("--stages", "STAGES",
            "units @ devices of each stage: \"0-7@0,1 8-15@2\"; /always or /except_last recomputes");
  flags.add("--micro-batches", "NUMBER",
            "per step; by default the fewest that keep every stage and replica of --stages busy");
  flags.add("--schedule", "NAME", "sequential, gpipe or 1f1b (the default)");
  flags.add("--bucket", "SIZE", "gradients of about this size are reduced together; 25 MB by default");
  flags.add("-o,--output", "FILE", "write the plan there, for example to train it");
  flags.add("--collective", "NAME", "simulate only this: all-reduce; needs --cluster and --bytes");
  flags.add("--bytes", "SIZES", "of the collective, for example 64MiB or 1MiB,2MiB");
  flags.add("--devices", "LIST", "of the collective: numbers or names; all by default");
  flags.add("--trace", "FILE", "write a trace for ui.perfetto.dev");
  flags.add("--svg", "FILE", "write a picture");
  flags.add("--paje", "FILE", "write a Paje trace");
  flags.add("--timeline", "FILE", "write the timeline as JSON");
  flags.add_switch("--gantt", "draw the step as text");
  flags.add_switch("--json", "one JSON document on stdout");
}

}  // namespace gabra::cli
