// SPDX-License-Identifier: MIT
#include "random_batch.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

namespace gabra::exec {
namespace {

std::vector<std::int64_t> batched(std::int64_t samples, const Shape& shape, std::size_t first, std::size_t end) {
  std::vector<std::int64_t> sizes{samples};
  sizes.insert(sizes.end(), shape.begin() + static_cast<std::ptrdiff_t>(first),
               shape.begin() + static_cast<std::ptrdiff_t>(end));
  return sizes;
}

}  // namespace

RandomBatch make_random_batch(const Network& network, std::int64_t micro_batches, std::int64_t micro_batch_size,
                              std::uint64_t seed) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  const Shape& output = network.layers().back().output;
  const auto* first = std::get_if<Input>(&network.layers()[0].attributes);
  const bool reads_tokens = first != nullptr && first->is_token_ids;
  std::int64_t vocabulary = 0;
  for (const Layer& layer : network.layers())
    if (const auto* table = std::get_if<Embedding>(&layer.attributes)) vocabulary = table->vocabulary;
  RandomBatch batch;
  for (std::int64_t m = 0; m < micro_batches; ++m) {
    std::vector<at::Tensor>& inputs = batch.inputs.emplace_back();
    for (const Layer& layer : network.layers()) {
      const auto* input = std::get_if<Input>(&layer.attributes);
      if (input == nullptr) continue;
      const auto sizes = batched(micro_batch_size, input->shape, 0, input->shape.size());
      inputs.push_back(input->is_token_ids ? at::randint(vocabulary, sizes, generator, at::kLong)
                                           : at::randn(sizes, generator, at::kFloat));
    }
    const bool is_sequence = reads_tokens && output.size() == 2;
    const std::int64_t classes = is_sequence ? output[1] : output[0];
    const auto sizes =
        is_sequence ? batched(micro_batch_size, output, 0, 1) : batched(micro_batch_size, output, 1, output.size());
    batch.targets.push_back(at::randint(classes, sizes, generator, at::kLong));
  }
  return batch;
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  const auto difference = (a.to(at::kDouble) - wide).norm().item<double>();
  const auto size = wide.norm().item<double>();
  return size > 0.0 ? difference / size : difference;
}

}  // namespace gabra::exec
