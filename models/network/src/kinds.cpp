// SPDX-License-Identifier: MIT
#include "kinds.hpp"

#include "gabra/core/check.hpp"

#include <array>
#include <utility>

namespace gabra {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<LayerAttributes>> kNames{
    "input",    "convolution",        "transposed_convolution", "batch_norm", "layer_norm", "relu",    "gelu",
    "max_pool", "average_pool",       "adaptive_average_pool",  "flatten",    "linear",     "add",     "concat",
    "upsample", "position_attention", "causal_attention",       "embedding",  "dropout",    "softmax", "opaque"};

template <std::size_t... Index>
LayerAttributes make(std::size_t index, std::index_sequence<Index...>) {
  LayerAttributes result;
  (void)((index == Index && (result.emplace<Index>(), true)) || ...);
  return result;
}

}  // namespace

std::string_view kind_name(const LayerAttributes& attributes) { return kNames[attributes.index()]; }

const std::vector<std::string>& kind_names() {
  static const std::vector<std::string> kAll(kNames.begin(), kNames.end());
  return kAll;
}

LayerAttributes make_kind(std::size_t index) {
  GABRA_CHECK(index < kNames.size(), "no such kind");
  return make(index, std::make_index_sequence<kNames.size()>{});
}

}  // namespace gabra
