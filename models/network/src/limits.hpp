// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>

namespace gabra {

/// Of one tensor of one sample, and of one layer's parameters.
inline constexpr std::int64_t kMostElements = std::int64_t{1} << 36;
/// Sums over a network: times 2^20 samples of 4 bytes, still within int64.
inline constexpr std::int64_t kMostTotalElements = std::int64_t{1} << 40;
/// Of a kernel, stride, padding or dilation in one dimension.
inline constexpr std::int64_t kMostExtent = 65'535;
inline constexpr std::size_t kMostLayers = 65'536;

/// Product of non-negative factors, or empty where it exceeds kMostElements.
[[nodiscard]] std::optional<std::int64_t> bounded_product(std::initializer_list<std::int64_t> factors);

}  // namespace gabra
