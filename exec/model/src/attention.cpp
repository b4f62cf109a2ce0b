// SPDX-License-Identifier: MIT
#include "kernel.hpp"
#include "product.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <utility>

namespace gabra::exec {
namespace {

/// A 1x1x1 convolution on [n, channels, positions], as products.
class Projection {
 public:
  Projection(Parameter& weight, Parameter& bias)
      : weight_(weight),
        bias_(bias),
        matrix_(weight.value.view({weight.value.size(0), weight.value.size(1)})),
        matrix_gradient_(weight.gradient.view(matrix_.sizes())) {}

  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const {
    return at::baddbmm(bias_.value.view({1, -1, 1}), expanded(x.size(0)), x);
  }
  /// Adds to the gradients of the parameters and to `input_gradient`, which is defined.
  void backward(const at::Tensor& gradient, const at::Tensor& x, at::Tensor& input_gradient, bool wants_input) {
    if (weight_.is_as_wide_as_value()) {
      add_product(gradient, x, matrix_gradient_, weight_.take_beta());
    } else {
      at::Tensor sum = at::empty_like(matrix_);
      add_product(gradient, x, sum, 0.0);
      weight_.accumulate(sum);
    }
    bias_.accumulate(gradient.sum(at::IntArrayRef{0, 2}));
    if (wants_input) input_gradient.baddbmm_(expanded(x.size(0)).transpose(1, 2), gradient);
  }

 private:
  /// sum = beta sum + the products of all samples.
  static void add_product(const at::Tensor& gradient, const at::Tensor& x, at::Tensor& sum, double beta) {
    for (std::int64_t i = 0; i < x.size(0); ++i) sum.addmm_(gradient[i], x[i].t(), i == 0 ? beta : 1.0);
  }
  [[nodiscard]] at::Tensor expanded(std::int64_t samples) const {
    return matrix_.unsqueeze(0).expand({samples, matrix_.size(0), matrix_.size(1)});
  }

  Parameter& weight_;
  Parameter& bias_;
  at::Tensor matrix_, matrix_gradient_;
};

/// The gradient of softmax's input along dimension 2, in place of that of its output where ATen makes one more matrix.
at::Tensor softmax_backward(at::Tensor gradient, const at::Tensor& output) {
  if (!gradient.is_cuda()) return at::_softmax_backward_data(gradient, output, 2, output.scalar_type());
  return at::_softmax_backward_data_out(gradient, gradient, output, 2, output.scalar_type());
}

/// With q, k, v the projections [n, ., positions] of x: a = softmax(q^T k) with rows that sum to 1, and
/// y = gamma v a^T + x.
class PositionAttentionKernel final : public LayerKernel {
 public:
  explicit PositionAttentionKernel(const KernelParts& parts)
      : gamma_(parts.parameters[0]),
        query_(parts.parameters[1], parts.parameters[2]),
        key_(parts.parameters[3], parts.parameters[4]),
        value_(parts.parameters[5], parts.parameters[6]) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& input = inputs[0].tensor;
    const at::Tensor x = input.flatten(2);
    at::Tensor q = query_.forward(x), k = key_.forward(x), v = value_.forward(x);
    at::Tensor matrix = at::softmax(at::bmm(q.transpose(1, 2), k), 2);
    at::Tensor product = at::bmm(v, matrix.transpose(1, 2));
    at::Tensor y = at::addcmul(x, product, gamma_.value).view(input.sizes());
    saved.tensors = {input, std::move(q), std::move(k), std::move(v), std::move(matrix), std::move(product)};
    return y;
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor x = saved.tensors[0].flatten(2), g = gradient.flatten(2);
    const at::Tensor q = std::move(saved.tensors[1]), k = std::move(saved.tensors[2]), v = std::move(saved.tensors[3]);
    at::Tensor matrix = std::move(saved.tensors[4]), product = std::move(saved.tensors[5]);
    gamma_.accumulate(product.mul_(g).sum());
    at::Tensor scaled = at::mul_out(product, g, gamma_.value);  // d (v a^T)
    at::Tensor input_gradient = wants() ? g.clone() : at::Tensor();
    value_.backward(at::bmm(scaled, matrix), x, input_gradient, wants());
    at::Tensor scores = at::bmm(scaled.transpose(1, 2), v);
    product.reset();
    scaled.reset();
    scores = softmax_backward(std::move(scores), matrix);
    matrix.reset();
    query_.backward(at::bmm(k, scores.transpose(1, 2)), x, input_gradient, wants());
    key_.backward(at::bmm(q, scores), x, input_gradient, wants());
    if (wants()) input_gradients[0] = input_gradient.view(gradient.sizes());
  }

 private:
  Parameter& gamma_;
  Projection query_, key_, value_;
};

/// GPT's: per head softmax(mask(q k^T / sqrt(features / heads))) v, between projections qkv and out.
class CausalAttentionKernel final : public LayerKernel {
 public:
  CausalAttentionKernel(const CausalAttention& layer, const KernelParts& parts)
      : heads_(layer.heads), parameters_(parts.parameters) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& x = inputs[0].tensor;
    const std::int64_t n = x.size(0), tokens = x.size(1), features = x.size(2);
    at::Tensor q, k, v;
    {
      const at::Tensor all = affine(x.flatten(0, 1), parameters_[0], &parameters_[1]);
      const at::Tensor split = all.view({n, tokens, 3, heads_, features / heads_}).permute({2, 0, 3, 1, 4});
      q = split[0].reshape({n * heads_, tokens, features / heads_});
      k = split[1].reshape(q.sizes());
      v = split[2].reshape(q.sizes());
    }
    at::Tensor scores = at::bmm(q, k.transpose(1, 2)).mul_(scale(features));
    const at::Tensor later = at::ones({tokens, tokens}, x.options().dtype(at::kBool)).triu_(1);
    scores.masked_fill_(later, -std::numeric_limits<double>::infinity());
    at::Tensor matrix = at::softmax(scores, 2);
    scores.reset();
    at::Tensor context =
        at::bmm(matrix, v).view({n, heads_, tokens, features / heads_}).transpose(1, 2).reshape({n * tokens, features});
    at::Tensor y = affine(context, parameters_[2], &parameters_[3]).view(x.sizes());
    saved.tensors = {x, std::move(q), std::move(k), std::move(v), std::move(matrix)};
    saved.tensors.push_back(std::move(context));
    return y;
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor x = std::move(saved.tensors[0]);
    const at::Tensor q = std::move(saved.tensors[1]), k = std::move(saved.tensors[2]), v = std::move(saved.tensors[3]);
    at::Tensor matrix = std::move(saved.tensors[4]), context = std::move(saved.tensors[5]);
    const std::int64_t n = x.size(0), tokens = x.size(1), features = x.size(2);
    const at::Tensor rows = gradient.flatten(0, 1);
    affine_backward(rows, context, parameters_[2], &parameters_[3]);
    context.reset();
    const at::Tensor heads = at::mm(rows, parameters_[2].value)
                                 .view({n, tokens, heads_, features / heads_})
                                 .transpose(1, 2)
                                 .reshape(q.sizes());
    // The gradients of q, k, v go side by side, as the projection made them.
    const at::Tensor all = at::empty({n, tokens, 3, heads_, features / heads_}, x.options());
    const auto part = [&](std::int64_t index) { return all.select(2, index).transpose(1, 2); };
    const std::vector<std::int64_t> by_head{n, heads_, tokens, features / heads_};
    part(2).copy_(at::bmm(matrix.transpose(1, 2), heads).view(by_head));
    at::Tensor scores = at::bmm(heads, v.transpose(1, 2));
    scores = softmax_backward(std::move(scores), matrix);
    matrix.reset();
    scores.mul_(scale(features));
    part(0).copy_(at::bmm(scores, k).view(by_head));
    part(1).copy_(at::bmm(scores.transpose(1, 2), q).view(by_head));
    scores.reset();
    const at::Tensor flat = all.view({n * tokens, 3 * features});
    affine_backward(flat, x.flatten(0, 1), parameters_[0], &parameters_[1]);
    if (wants()) input_gradients[0] = at::mm(flat, parameters_[0].value).view(x.sizes());
  }

 private:
  [[nodiscard]] double scale(std::int64_t features) const {
    const std::int64_t of_a_head = features / heads_;
    return 1.0 / std::sqrt(static_cast<double>(of_a_head));
  }

  std::int64_t heads_;
  std::span<Parameter> parameters_;  ///< qkv weight, bias; out weight, bias
};

}  // namespace

KernelPointer make_kernel(const PositionAttention& /*layer*/, const KernelParts& parts) {
  return std::make_unique<PositionAttentionKernel>(parts);
}
KernelPointer make_kernel(const CausalAttention& layer, const KernelParts& parts) {
  return std::make_unique<CausalAttentionKernel>(layer, parts);
}

}  // namespace gabra::exec
