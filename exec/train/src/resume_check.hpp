// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/exec/checkpoint.hpp"

namespace gabra::exec {

// Whether a run may go on from a checkpoint: only if it then ends with the bits of a run of its own settings that was
// never interrupted (by the same plan; by another one, but for rounding), and if nobody changes sides between training,
// validation and test. `ours` is what a checkpoint of this run would say. One fault for each difference, naming the
// checkpoint's file.

/// Network, optimizer, micro-batches, seed, learning rate and so on: before the data set is read.
void compare_settings(const Checkpoint& checkpoint, const CheckpointInfo& ours, FaultList& faults);

/// What the training samples are, who is in which part, and, for a learning rate that depends on it, the length.
void compare_samples(const Checkpoint& checkpoint, const CheckpointInfo& ours, FaultList& faults);

}  // namespace gabra::exec
