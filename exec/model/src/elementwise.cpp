// SPDX-License-Identifier: MIT
#include "dropout_mask.hpp"
#include "kernel.hpp"

#include <ATen/ATen.h>

#include <utility>

namespace gabra::exec {
namespace {

class ReluKernel final : public LayerKernel {
 public:
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    at::Tensor y = inputs[0].may_overwrite ? std::move(inputs[0].tensor).relu_() : at::relu(inputs[0].tensor);
    saved.tensors = {y};
    return y;
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    if (is_exclusive(gradient)) {
      at::threshold_backward_out(gradient, gradient, saved.tensors[0], 0);
      input_gradients[0] = std::move(gradient);
    } else {
      input_gradients[0] = at::threshold_backward(gradient, saved.tensors[0], 0);
    }
  }
};

class GeluKernel final : public LayerKernel {
 public:
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    saved.tensors = {inputs[0].tensor};
    return at::gelu(inputs[0].tensor);
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    input_gradients[0] = at::gelu_backward(gradient, saved.tensors[0]);
  }
};

class SoftmaxKernel final : public LayerKernel {
 public:
  explicit SoftmaxKernel(std::int64_t dimension) : dimension_(dimension) {}
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    at::Tensor y = at::softmax(inputs[0].tensor, dimension_);
    saved.tensors = {y};
    return y;
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    input_gradients[0] =
        at::_softmax_backward_data(gradient, saved.tensors[0], dimension_, saved.tensors[0].scalar_type());
  }

 private:
  std::int64_t dimension_;
};

class FlattenKernel final : public LayerKernel {
 public:
  explicit FlattenKernel(Shape input) : input_(std::move(input)) {}
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& /*saved*/) override {
    return inputs[0].tensor.flatten(1);
  }
  void backward(at::Tensor gradient, Saved& /*saved*/, std::span<at::Tensor> input_gradients) override {
    std::vector<std::int64_t> sizes{gradient.size(0)};
    sizes.insert(sizes.end(), input_.begin(), input_.end());
    input_gradients[0] = gradient.view(sizes);
  }

 private:
  Shape input_;
};

/// Writes over an input that is its own; hands one gradient to all inputs.
class AddKernel final : public LayerKernel {
 public:
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& /*saved*/) override {
    at::Tensor sum;
    if (inputs[0].may_overwrite)
      sum = std::move(inputs[0].tensor).add_(inputs[1].tensor);
    else if (inputs[1].may_overwrite)
      sum = std::move(inputs[1].tensor).add_(inputs[0].tensor);
    else
      sum = inputs[0].tensor.add(inputs[1].tensor);
    for (const Operand& input : inputs.subspan(2)) sum.add_(input.tensor);
    return sum;
  }
  void backward(at::Tensor gradient, Saved& /*saved*/, std::span<at::Tensor> input_gradients) override {
    for (std::size_t i = 0; i < input_gradients.size(); ++i)
      if (wants(i)) input_gradients[i] = gradient;
  }
};

class ConcatKernel final : public LayerKernel {
 public:
  explicit ConcatKernel(std::vector<std::int64_t> channels) : channels_(std::move(channels)) {}
  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& /*saved*/) override {
    std::vector<at::Tensor> parts;
    for (const Operand& input : inputs) parts.push_back(input.tensor);
    return at::cat(parts, 1);
  }
  void backward(at::Tensor gradient, Saved& /*saved*/, std::span<at::Tensor> input_gradients) override {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < input_gradients.size(); ++i) {
      // A copy: a view would keep the whole alive. With one sample the slice is contiguous, so ask for a clone.
      if (wants(i)) input_gradients[i] = gradient.narrow(1, first, channels_[i]).clone(at::MemoryFormat::Contiguous);
      first += channels_[i];
    }
  }

 private:
  std::vector<std::int64_t> channels_;
};

class DropoutKernel final : public LayerKernel {
 public:
  DropoutKernel(const Dropout& layer, const KernelParts& parts)
      : probability_(layer.probability), seed_(parts.options.seed), name_(parts.network.layer(parts.layer).name) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& pass, Saved& saved) override {
    Operand& input = inputs[0];
    saved.is_training = pass.context.is_training;
    if (!pass.context.is_training || probability_ == 0.0) return std::move(input.tensor);
    const DropoutKey key{seed_, name_, pass.context.step, pass.context.first_sample, probability_};
    saved.tensors = {dropout_mask(key, input.tensor.sizes(), input.tensor.device())};
    return apply(input.tensor, saved.tensors[0], input.may_overwrite);
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    if (saved.tensors.empty()) {
      input_gradients[0] = std::move(gradient);
      return;
    }
    const bool may_overwrite = is_exclusive(gradient);
    input_gradients[0] = apply(gradient, saved.tensors[0], may_overwrite);
  }

 private:
  [[nodiscard]] at::Tensor apply(const at::Tensor& tensor, const at::Tensor& mask, bool may_overwrite) const {
    at::Tensor result = may_overwrite ? tensor.mul_(mask) : tensor.mul(mask);
    return result.mul_(1.0 / (1.0 - probability_));
  }

  double probability_;
  std::uint64_t seed_;
  std::string name_;
};

}  // namespace

KernelPointer make_kernel(const Relu& /*layer*/, const KernelParts& /*parts*/) {
  return std::make_unique<ReluKernel>();
}
KernelPointer make_kernel(const Gelu& /*layer*/, const KernelParts& /*parts*/) {
  return std::make_unique<GeluKernel>();
}
KernelPointer make_kernel(const Softmax& /*layer*/, const KernelParts& parts) {
  return std::make_unique<SoftmaxKernel>(class_dimension(parts.network, parts.layer));
}
KernelPointer make_kernel(const Flatten& /*layer*/, const KernelParts& parts) {
  return std::make_unique<FlattenKernel>(parts.network.layer(parts.network.layer(parts.layer).inputs[0]).output);
}
KernelPointer make_kernel(const Add& /*layer*/, const KernelParts& /*parts*/) { return std::make_unique<AddKernel>(); }
KernelPointer make_kernel(const Concat& /*layer*/, const KernelParts& parts) {
  std::vector<std::int64_t> channels;
  for (const LayerId input : parts.network.layer(parts.layer).inputs)
    channels.push_back(parts.network.layer(input).output[0]);
  return std::make_unique<ConcatKernel>(std::move(channels));
}
KernelPointer make_kernel(const Dropout& layer, const KernelParts& parts) {
  return std::make_unique<DropoutKernel>(layer, parts);
}

}  // namespace gabra::exec
