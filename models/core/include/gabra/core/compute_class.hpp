// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gabra {

/// What kind of arithmetic a layer does; a device states one efficiency per class (see cluster/device_kind.hpp).
enum class ComputeClass : std::uint8_t {
  Convolution,    ///< dense convolutions and their transposes
  MatrixProduct,  ///< linear layers, attention's products
  Normalization,  ///< batch norm, layer norm, softmax
  Elementwise,    ///< ReLU, GELU, add, dropout, concatenation, upsampling
  Pooling,
  Embedding,  ///< gathers and scatters
};
inline constexpr std::size_t kComputeClassCount = 6;
inline constexpr std::array<std::string_view, kComputeClassCount> kComputeClassNames{
    "convolution", "matrix_product", "normalization", "elementwise", "pooling", "embedding"};

/// Number formats of weights, activations and gradients. Float32 is IEEE single with TF32 off.
enum class Precision : std::uint8_t { Float32, Bfloat16 };

[[nodiscard]] constexpr std::int64_t bytes_per_element(Precision precision) {
  return precision == Precision::Float32 ? 4 : 2;
}

}  // namespace gabra
