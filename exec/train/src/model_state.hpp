// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/checkpoint.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <string>
#include <vector>

namespace gabra::exec {

// The state of a model whose stages lie on several ranks.

/// Parameters and running statistics of the whole network in the order of model_state(), then, if asked for, the
/// optimizer's state under "optimizer/": at rank 0, on the CPU; empty elsewhere. Each stage gives its first replica's.
/// Collective.
[[nodiscard]] std::vector<NamedTensor> gather_state(Interpreter& interpreter, const Network& network,
                                                    const MpiWorld& world, bool with_optimizer);

/// Parameters and running statistics of the whole network into every rank's `targets`, which are the same names
/// everywhere; one after another, so that no rank holds all of them twice. Each stage gives its first replica's.
/// Collective.
void copy_to_all(Interpreter& interpreter, const MpiWorld& world, const std::vector<NamedTensor>& targets);

/// The name of the first tensor with an element that is no finite number; empty: none.
[[nodiscard]] std::string first_not_finite(const std::vector<NamedTensor>& tensors);

/// Rank 0's tensors, on every rank. Collective.
[[nodiscard]] std::vector<NamedTensor> broadcast_tensors(const std::vector<NamedTensor>& tensors,
                                                         const MpiWorld& world);

/// Writes `tensors` into this rank's stages, the optimizer's state too where it is among them. Throws InputError naming
/// `place` when one that a stage needs is missing or has another shape.
void restore_state(Interpreter& interpreter, const std::vector<NamedTensor>& tensors, const std::string& place);

}  // namespace gabra::exec
