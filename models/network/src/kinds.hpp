// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/layer.hpp"

#include <string>
#include <vector>

namespace gabra {

/// Names of all kinds as in files, in the order of LayerAttributes.
[[nodiscard]] const std::vector<std::string>& kind_names();

/// A kind by its position in kind_names(), attributes at their defaults.
[[nodiscard]] LayerAttributes make_kind(std::size_t index);

}  // namespace gabra
