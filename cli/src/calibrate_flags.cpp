// SPDX-License-Identifier: MIT
#include "commands.hpp"

namespace gabra::cli {

void add_calibrate_flags(FlagSet& flags) {
  flags.add("--network", "NETWORK", "what to measure: a zoo name with options, or a file");
  flags.add("--micro-batches", "SIZES", "sizes of micro-batches to measure, for example 1,2,4");
  flags.add("--devices", "KIND:NUMBER", "cpu:2 starts two ranks on CPU cores, cuda:4 four on GPUs");
  flags.add(
      "--from-table", "FILE",
      "in place of --devices, may be repeated: what all_reduce_perf and sendrecv_perf of nccl-tests print, vTrain's "
      "all-reduce tables, PipeDream profiles");
  flags.add("--cluster", "CLUSTER", "with --from-table: the cluster whose figures are replaced");
  flags.add(
      "--device-kind", "NAME",
      "with --from-table: the kind of the cluster's devices that PipeDream's layers stand for; its first by default");
  flags.add("-o,--output", "FILE", "write the cluster there");
  flags.add("--profile", "FILE", "write the times of layers there");
  add_arithmetic_flags(flags);
  flags.add("--confidence", "SHARE", "stop when 95 % intervals of median steps are this narrow; 0.02 by default");
  flags.add("--time-limit", "TIME", "or after so long; 2min by default");
  flags.add("--threads-per-rank", "NUMBER", "each rank is bound to as many cores; 1 by default");
  flags.add("--seed", "NUMBER", "of weights and samples; 0 by default");
  flags.add("--timeout", "TIME", "a transfer without progress for so long is a failure; 10min by default");
  flags.add("--hosts", "LIST", "machines, handed to mpirun --host");
  flags.add("--hostfile", "FILE", "machines, handed to mpirun --hostfile");
  flags.add_switch("--json", "one JSON document on stdout");
  flags.add_switch("--quiet", "no progress on stderr");
}

}  // namespace gabra::cli
