// SPDX-License-Identifier: MIT
#include "gabra/network/layer.hpp"

#include <array>

namespace gabra {

std::string_view kind_name(const LayerAttributes& attributes) {
  constexpr std::array<std::string_view, std::variant_size_v<LayerAttributes>> kNames{
      "input",    "convolution",        "transposed_convolution", "batch_norm", "layer_norm", "relu",    "gelu",
      "max_pool", "average_pool",       "adaptive_average_pool",  "flatten",    "linear",     "add",     "concat",
      "upsample", "position_attention", "causal_attention",       "embedding",  "dropout",    "softmax", "opaque"};
  return kNames[attributes.index()];
}

}  // namespace gabra
