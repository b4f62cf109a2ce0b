// SPDX-License-Identifier: MIT
#include "commands.hpp"

namespace gabra::cli {
namespace {

void add_data_flags(FlagSet& flags) {
  flags.add("--data", "DIR", "BIDS-like folder: participants.tsv and sub-*/[ses-*/]anat/*_T1w.nii.gz");
  flags.add("--task", "NAME", "ad-nc or smci-pmci: the groups to tell apart");
  flags.add("--classes", "A,B", "in place of --task: groups of participants.tsv, the last one is the positive class");
  flags.add("--sessions", "WHICH", "first (the default), all, or a session's name");
  flags.add("--cache", "DIR", "of preprocessed volumes; DIR/derivatives/gabra by default");
  flags.add_switch("--skip-bad", "leave out what is faulty in the data set, and list it");
}

void add_update_flags(FlagSet& flags) {
  flags.add("--learning-rate", "RATE", "after the warm-up; 0.001 by default");
  flags.add("--momentum", "NUMBER", "of SGD, not for plans with adamw; 0.9 by default");
  flags.add("--weight-decay", "NUMBER", "0 by default");
  flags.add("--schedule", "NAME", "of the learning rate: constant (the default), cosine or step");
  flags.add("--warmup-steps", "NUMBER", "steps in which the learning rate rises to its full value; 0 by default");
  flags.add("--step-epochs", "NUMBER", "schedule step: epochs between two changes; 10 by default");
  flags.add("--step-factor", "NUMBER", "schedule step: what the learning rate is multiplied by; 0.1 by default");
}

}  // namespace

void add_train_flags(FlagSet& flags) {
  flags.add("--plan", "FILE", "a plan file; one rank is started for each of its devices");
  add_data_flags(flags);
  flags.add_switch("--synthetic", "random samples for any network, in place of --data");
  flags.add("--batch-file", "FILE", "a .pt file with {data, target}: every step trains on it, in place of --data");
  flags.add("--folds", "NUMBER", "cross-validation with so many parts, from 3: a training for each, and means");
  flags.add("--fold", "NUMBER", "with --folds: only the training with this part as the test set, from 0");
  flags.add_switch("--augment", "random flips and shifts of training volumes");
  flags.add("--epochs", "NUMBER", "train for so many passes over the data");
  flags.add("--steps", "NUMBER", "train for so many updates");
  add_update_flags(flags);
  flags.add("--seed", "NUMBER", "of weights, dropout, split, order and augmentation; 0 by default");
  flags.add("--weights", "FILE", "start from these: a state_dict saved by PyTorch, or a checkpoint");
  flags.add("--checkpoint-dir", "DIR", "where checkpoints and log.jsonl go");
  flags.add_switch("--resume", "go on from the newest whole checkpoint of --checkpoint-dir");
  flags.add("--checkpoint-every", "STEPS", "between checkpoints; one at the end of every epoch by default");
  flags.add("--keep", "NUMBER", "newest checkpoints that are kept; 3 by default");
  flags.add("--max-restarts", "NUMBER", "start again with --resume after so many failures; 0 by default");
  flags.add("--device", "NAME", "cpu or cuda: what the plan's devices were calibrated on, else cpu");
  flags.add("--threads-per-rank", "NUMBER",
            "each rank is bound to as many cores; as many as the plan's devices were calibrated with, else 1");
  flags.add("--timeout", "TIME", "a transfer without progress for so long is a failure; 10min by default");
  flags.add("--hosts", "LIST", "machines, handed to mpirun --host");
  flags.add("--hostfile", "FILE", "machines, handed to mpirun --hostfile");
  flags.add("--log", "FILE", "a JSON line for every step and epoch; log.jsonl in --checkpoint-dir by default");
  flags.add("--trace", "FILE", "write the measured timeline of a step after warm-up, for ui.perfetto.dev");
  flags.add_switch("--json", "one JSON document on stdout");
  flags.add_switch("--quiet", "no progress on stderr");
}

void add_predict_flags(FlagSet& flags) {
  flags.add("--checkpoint", "FILE", "a checkpoint, or a folder of them: the best, else the newest");
  // Without --task or --classes everybody of the folder is predicted, whatever the group.
  add_data_flags(flags);
  flags.add("--volume", "FILE", "one scan, in place of --data; may be repeated");
  flags.add("-o,--output", "FILE", "write the table, tab-separated");
  flags.add("--device", "NAME", "cpu (the default) or cuda");
  flags.add("--threads", "NUMBER", "1 by default");
  flags.add_switch("--json", "one JSON document on stdout");
}

void add_explain_flags(FlagSet& flags) {
  flags.add("--checkpoint", "FILE", "a checkpoint, or a folder of them: the best, else the newest");
  flags.add("--volume", "FILE", "the scan");
  flags.add("--class", "NAME", "whose evidence is shown: a class's name or number; the predicted one by default");
  flags.add("--layer", "NAME", "whose feature map: the last before the head by default; earlier ones are finer");
  flags.add("-o,--output", "FILE", "the heat map as NIfTI, in the scan's space");
  flags.add("--png", "FILE", "three slices of the scan with the heat map over them");
  flags.add("--device", "NAME", "cpu (the default) or cuda");
  flags.add("--threads", "NUMBER", "1 by default");
  flags.add_switch("--json", "one JSON document on stdout");
}

void add_measure_flags(FlagSet& flags) {
  flags.add("--device", "NAME", "cpu (the default) or cuda");
  flags.add("--threads-per-rank", "NUMBER", "each rank is bound to as many cores; 1 by default");
  flags.add("--timeout", "TIME", "ranks that wait for each other for so long end the job; 60s by default");
}

}  // namespace gabra::cli
