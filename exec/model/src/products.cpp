// SPDX-License-Identifier: MIT
#include "kernel.hpp"
#include "product.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace gabra::exec {

at::Tensor affine(const at::Tensor& rows, const Parameter& weight, const Parameter* bias) {
  return bias != nullptr ? at::addmm(bias->value, rows, weight.value.t()) : at::mm(rows, weight.value.t());
}

namespace {

/// Of a product with so many columns: few products are slower.
std::int64_t rows_of_a_chunk(const at::Tensor& matrix) {
  const std::int64_t elements = std::int64_t{1} << (matrix.is_cpu() ? 20U : 24U);
  return std::max<std::int64_t>(1, elements / matrix.size(1));
}

/// weight.gradient += left right, some rows at a time.
void accumulate_product(Parameter& weight, const at::Tensor& left, const at::Tensor& right) {
  const bool is_first = weight.take_beta() == 0.0;
  const std::int64_t rows = rows_of_a_chunk(right);
  for (std::int64_t at = 0; at < left.size(0); at += rows) {
    const std::int64_t count = std::min(rows, left.size(0) - at);
    const at::Tensor part = at::mm(left.narrow(0, at, count), right);
    at::Tensor sum = weight.gradient.narrow(0, at, count);
    is_first ? sum.copy_(part) : sum.add_(part);
  }
}

}  // namespace

void affine_backward(const at::Tensor& gradient, const at::Tensor& rows, Parameter& weight, Parameter* bias) {
  if (weight.is_as_wide_as_value()) {
    const double beta = weight.take_beta();
    weight.gradient.addmm_(gradient.t(), rows, beta);
  } else {
    accumulate_product(weight, gradient.t(), rows);
  }
  if (bias != nullptr) bias->accumulate(gradient.sum(0));
}

namespace {

class LinearKernel final : public LayerKernel {
 public:
  explicit LinearKernel(const KernelParts& parts)
      : weight_(parts.parameters[0]), bias_(parts.parameters.size() > 1 ? &parts.parameters[1] : nullptr) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& x = inputs[0].tensor;
    saved.tensors = {x};
    std::vector<std::int64_t> sizes = x.sizes().vec();
    sizes.back() = weight_.value.size(0);
    return affine(x.flatten(0, -2), weight_, bias_).view(sizes);
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor x = std::move(saved.tensors[0]);
    const at::Tensor rows = gradient.flatten(0, -2);
    affine_backward(rows, x.flatten(0, -2), weight_, bias_);
    if (wants()) input_gradients[0] = at::mm(rows, weight_.value).view(x.sizes());
  }

 private:
  Parameter& weight_;
  Parameter* bias_;
};

class EmbeddingKernel final : public LayerKernel {
 public:
  explicit EmbeddingKernel(const KernelParts& parts) : token_(parts.parameters[0]), position_(parts.parameters[1]) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& ids = inputs[0].tensor;
    saved.tensors = {ids};
    return at::embedding(token_.value, ids).add_(position_.value.narrow(0, 0, ids.size(1)));
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> /*input_gradients*/) override {
    const at::Tensor ids = std::move(saved.tensors[0]);
    token_.settle();
    const at::Tensor rows = gradient.flatten(0, 1), tokens = ids.flatten();
    const std::int64_t most = token_.is_as_wide_as_value() ? rows.size(0) : rows_of_a_chunk(rows);
    for (std::int64_t at = 0; at < rows.size(0); at += most) {
      const std::int64_t count = std::min(most, rows.size(0) - at);
      token_.gradient.index_add_(0, tokens.narrow(0, at, count),
                                 rows.narrow(0, at, count).to(token_.gradient.scalar_type()));
    }
    position_.settle();
    position_.gradient.narrow(0, 0, ids.size(1)).add_(gradient.sum(0));
  }

 private:
  Parameter& token_;
  Parameter& position_;
};

}  // namespace

KernelPointer make_kernel(const Linear& /*layer*/, const KernelParts& parts) {
  return std::make_unique<LinearKernel>(parts);
}
KernelPointer make_kernel(const Embedding& /*layer*/, const KernelParts& parts) {
  return std::make_unique<EmbeddingKernel>(parts);
}

}  // namespace gabra::exec
