// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <cstdint>

namespace gabra {

/// Over the layers (names, kinds, attributes, inputs) and the units; the network's own name is left out.
[[nodiscard]] std::uint64_t network_fingerprint(const Network& network);

}  // namespace gabra
