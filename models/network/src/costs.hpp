// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/layer.hpp"
#include "layer_faults.hpp"

#include <optional>
#include <span>

namespace gabra {

/// What a layer's cost rule may look at.
struct CostContext {
  std::span<const Shape> inputs;
  const Shape& output;
  /// Some input is needed in backward: false for layers that stand directly on the network's inputs.
  bool input_needs_gradient = true;
};

/// Costs of a layer whose shapes were checked, for one sample, by the rules stated in costs.cpp. Empty after adding a
/// fault when a count is too large.
[[nodiscard]] std::optional<LayerCosts> derive_costs(const LayerAttributes& attributes, const CostContext& context,
                                                     LayerFaults& faults);

/// The layer has something to learn, so its output needs a gradient whatever its inputs do.
[[nodiscard]] bool has_parameters(const LayerAttributes& attributes);

/// Charges the layer for adding up the gradients of `consumers` (>= 2) layers that read its output.
void add_gradient_accumulation(LayerCosts& costs, std::size_t consumers);

}  // namespace gabra
