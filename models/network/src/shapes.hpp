// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/layer.hpp"
#include "layer_faults.hpp"

#include <optional>
#include <span>

namespace gabra {

/// Checks the attributes of one layer against the shapes of its inputs, fills in defaults that depend on them (an
/// empty stride, padding or dilation), and derives the shape of the output. Empty after adding faults.
[[nodiscard]] std::optional<Shape> derive_shape(LayerAttributes& attributes, std::span<const Shape> inputs,
                                                LayerFaults& faults);

}  // namespace gabra
