// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gabra {

/// Shape of one sample's tensor, without the batch dimension. Images: [channels, spatial...] with one to three spatial
/// dimensions. Sequences: [tokens] of ids, or [tokens, features]. Vectors: [features].
using Shape = std::vector<std::int64_t>;

/// Product of the dimensions. Shapes are checked when a network is built: the product fits int64 with room to spare.
[[nodiscard]] std::int64_t element_count(const Shape& shape);

/// "64x24x28x24".
[[nodiscard]] std::string to_text(const Shape& shape);

}  // namespace gabra
