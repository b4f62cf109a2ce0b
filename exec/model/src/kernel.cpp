// SPDX-License-Identifier: MIT
#include "kernel.hpp"

#include <algorithm>

namespace gabra::exec {

bool is_exclusive(const at::Tensor& tensor) { return tensor.use_count() == 1 && tensor.storage().use_count() == 1; }

std::int64_t class_dimension(const Network& network, LayerId layer) {
  const auto layers = network.layers();
  const bool reads_tokens = std::any_of(layers.begin(), layers.end(), [](const Layer& other) {
    const auto* input = std::get_if<Input>(&other.attributes);
    return input != nullptr && input->is_token_ids;
  });
  return reads_tokens && network.layer(layer).output.size() == 2 ? 2 : 1;
}

}  // namespace gabra::exec
