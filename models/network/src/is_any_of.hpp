// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/layer.hpp"

#include <variant>

namespace gabra {

/// The layer is of one of `Kinds`.
template <class... Kinds>
[[nodiscard]] bool is_any_of(const LayerAttributes& attributes) {
  return (std::holds_alternative<Kinds>(attributes) || ...);
}

}  // namespace gabra
