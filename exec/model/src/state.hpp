// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/stage_module.hpp"

#include <cstdint>
#include <vector>

namespace gabra::exec {

/// How a tensor of the state starts.
enum class Initial : std::uint8_t { Zero, One, Uniform, Normal };

/// A parameter or buffer of a layer: its place in the state and its initial values, as PyTorch's modules have them.
struct StateRule {
  StateEntry entry;
  Initial initial = Initial::Zero;
  double spread = 0.0;  ///< Uniform: in [-spread, spread]; Normal: standard deviation
};

/// Of one layer, in PyTorch's order. Empty for layers without state; opaque layers have none.
[[nodiscard]] std::vector<StateRule> state_of(const Network& network, LayerId layer);

[[nodiscard]] std::int64_t element_count(const StateEntry& entry);

/// Fills `tensor` with the initial values of `rule`, drawn in double precision and keyed by (seed, name, element): the
/// same weights in every plan, and rounded from the same numbers in every dtype.
void initialise(const StateRule& rule, std::uint64_t seed, const at::Tensor& tensor);

}  // namespace gabra::exec
