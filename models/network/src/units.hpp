// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <span>
#include <vector>

namespace gabra {

/// Last layers of the units of a network, by the rule in units.cpp.
[[nodiscard]] std::vector<LayerId> coarsen(std::span<const Layer> layers);

/// Units that end with the given layers, named by what their layers' names have in common.
[[nodiscard]] std::vector<Unit> make_units(std::span<const Layer> layers, std::span<const LayerId> ends);

/// Sets LayerCosts::is_in_place: a ReLU writes over its input where that is made in the same unit, read by nothing
/// else, and not needed by the backward of the layer that made it.
void mark_in_place(std::span<Layer> layers, std::span<const Unit> units);

struct UnitSums {
  std::vector<UnitCosts> costs;
  std::vector<UnitTensor> tensors;  ///< ascending by layer
};
/// `needs_gradient` is parallel to `layers`, about their outputs.
[[nodiscard]] UnitSums sum_units(std::span<const Layer> layers, std::span<const Unit> units,
                                 const std::vector<bool>& needs_gradient);

}  // namespace gabra
