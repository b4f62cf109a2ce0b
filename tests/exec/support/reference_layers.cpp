// SPDX-License-Identifier: MIT
#include "reference_layers.hpp"

#include "dropout_mask.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

namespace gabra::exec {
namespace {

class Reference {
 public:
  Reference(const ReferenceContext& context, const Layer& layer, const std::vector<at::Tensor>& inputs)
      : context_(context), layer_(layer), inputs_(inputs) {}

  at::Tensor operator()(const Convolution& a) const {
    if (a.kernel.size() == 1)
      return at::conv1d(x(), own("weight"), bias(a.bias), a.stride, a.padding, a.dilation, a.groups);
    if (a.kernel.size() == 2)
      return at::conv2d(x(), own("weight"), bias(a.bias), a.stride, a.padding, a.dilation, a.groups);
    return at::conv3d(x(), own("weight"), bias(a.bias), a.stride, a.padding, a.dilation, a.groups);
  }
  at::Tensor operator()(const TransposedConvolution& a) const {
    if (a.kernel.size() == 1) return at::conv_transpose1d(x(), own("weight"), bias(a.bias), a.stride, a.padding);
    if (a.kernel.size() == 2) return at::conv_transpose2d(x(), own("weight"), bias(a.bias), a.stride, a.padding);
    return at::conv_transpose3d(x(), own("weight"), bias(a.bias), a.stride, a.padding);
  }
  at::Tensor operator()(const BatchNorm& a) const {
    return at::batch_norm(x(), own("weight"), own("bias"), own("running_mean"), own("running_var"),
                          context_.pass.is_training, a.momentum, a.epsilon, false);
  }
  at::Tensor operator()(const LayerNorm& a) const {
    return at::layer_norm(x(), {x().size(-1)}, own("weight"), own("bias"), a.epsilon, false);
  }
  at::Tensor operator()(const Relu& /*a*/) const { return at::relu(x()); }
  at::Tensor operator()(const Gelu& /*a*/) const { return at::gelu(x()); }
  at::Tensor operator()(const MaxPool& a) const {
    if (a.kernel.size() == 1) return at::max_pool1d(x(), a.kernel, a.stride, a.padding);
    if (a.kernel.size() == 2) return at::max_pool2d(x(), a.kernel, a.stride, a.padding);
    return at::max_pool3d(x(), a.kernel, a.stride, a.padding);
  }
  at::Tensor operator()(const AveragePool& a) const {
    if (a.kernel.size() == 1) return at::avg_pool1d(x(), a.kernel, a.stride, a.padding);
    if (a.kernel.size() == 2) return at::avg_pool2d(x(), a.kernel, a.stride, a.padding);
    return at::avg_pool3d(x(), a.kernel, a.stride, a.padding);
  }
  at::Tensor operator()(const AdaptiveAveragePool& a) const {
    if (a.output.size() == 1) return at::adaptive_avg_pool1d(x(), a.output);
    if (a.output.size() == 2) return at::adaptive_avg_pool2d(x(), a.output);
    return at::adaptive_avg_pool3d(x(), a.output);
  }
  at::Tensor operator()(const Flatten& /*a*/) const { return x().flatten(1); }
  at::Tensor operator()(const Linear& a) const { return at::linear(x(), own("weight"), bias(a.bias)); }
  at::Tensor operator()(const Add& /*a*/) const {
    at::Tensor sum = x();
    for (std::size_t i = 1; i < inputs_.size(); ++i) sum = sum + inputs_[i];
    return sum;
  }
  at::Tensor operator()(const Concat& /*a*/) const { return at::cat(inputs_, 1); }
  at::Tensor operator()(const Upsample& a) const {
    at::Tensor y = x();
    for (std::int64_t d = 2; d < x().dim(); ++d) y = y.repeat_interleave(a.factor, d);
    return y;
  }
  at::Tensor operator()(const PositionAttention& /*a*/) const {
    const auto project = [&](const std::string& name) {
      const at::Tensor weight = own(name + ".weight").flatten(1);
      return (at::matmul(weight, x().flatten(2)) + own(name + ".bias").view({-1, 1}));
    };
    const at::Tensor q = project("q"), k = project("k"), v = project("v");
    const at::Tensor attention = at::softmax(at::matmul(q.transpose(1, 2), k), -1);
    return own("gamma") * at::matmul(v, attention.transpose(1, 2)).view(x().sizes()) + x();
  }
  at::Tensor operator()(const CausalAttention& a) const {
    const at::Tensor qkv = at::linear(x(), own("qkv.weight"), own("qkv.bias"));
    const auto parts = qkv.split(x().size(2), 2);
    const auto heads = [&](const at::Tensor& part) {
      return part.view({x().size(0), x().size(1), a.heads, -1}).transpose(1, 2);
    };
    const at::Tensor q = heads(parts[0]), k = heads(parts[1]), v = heads(parts[2]);
    at::Tensor scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
    const at::Tensor allowed = at::ones({x().size(1), x().size(1)}, at::kBool).tril();
    scores = scores.masked_fill(allowed.logical_not(), -std::numeric_limits<double>::infinity());
    const at::Tensor context = at::matmul(at::softmax(scores, -1), v).transpose(1, 2).reshape(x().sizes());
    return at::linear(context, own("out.weight"), own("out.bias"));
  }
  at::Tensor operator()(const Embedding& /*a*/) const {
    return at::embedding(own("token.weight"), x()) + own("position.weight").narrow(0, 0, x().size(1));
  }
  at::Tensor operator()(const Dropout& a) const {
    if (!context_.pass.is_training) return x();
    const DropoutKey key{context_.seed, layer_.name, context_.pass.step, context_.pass.first_sample, a.probability};
    return x() * dropout_mask(key, x().sizes(), x().device()) / (1.0 - a.probability);
  }
  at::Tensor operator()(const Softmax& /*a*/) const {
    const auto layers = context_.network.layers();
    const auto* source = std::get_if<Input>(&layers[0].attributes);
    const bool is_tokens = source != nullptr && source->is_token_ids;
    return at::softmax(x(), is_tokens && x().dim() == 3 ? 2 : 1);
  }
  at::Tensor operator()(const Input& /*a*/) const { throw std::logic_error("an input is not computed"); }
  at::Tensor operator()(const Opaque& /*a*/) const { throw std::logic_error("an opaque layer cannot be computed"); }

 private:
  [[nodiscard]] const at::Tensor& x() const { return inputs_[0]; }
  [[nodiscard]] at::Tensor own(const std::string& name) const { return context_.tensors.at(layer_.name + "." + name); }
  [[nodiscard]] std::optional<at::Tensor> bias(bool has_bias) const {
    return has_bias ? std::optional(own("bias")) : std::nullopt;
  }

  const ReferenceContext& context_;
  const Layer& layer_;
  const std::vector<at::Tensor>& inputs_;
};

}  // namespace

at::Tensor reference_layer(const ReferenceContext& context, LayerId layer, const std::vector<at::Tensor>& inputs) {
  const Layer& description = context.network.layer(layer);
  return std::visit(Reference(context, description, inputs), description.attributes);
}

}  // namespace gabra::exec
