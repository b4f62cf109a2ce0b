// SPDX-License-Identifier: MIT
#include "kernel.hpp"
#include "spatial.hpp"

#include <ATen/ATen.h>
#include <ATen/native/ConvUtils.h>

#include <array>
#include <optional>
#include <tuple>
#include <utility>

namespace gabra::exec {
namespace {

/// Convolution and transposed convolution of one to three dimensions.
///
/// float32 on the CPU always goes to oneDNN: LibTorch itself takes a path ten times as slow for a single sample of few
/// channels or small volume, the usual case with MRI (ATen/native/Convolution.cpp, use_mkldnn).
class ConvolutionKernel final : public LayerKernel {
 public:
  struct Shape {
    std::vector<std::int64_t> stride, padding, dilation;
    std::int64_t groups = 1;
    bool is_transposed = false;
  };

  ConvolutionKernel(Shape shape, const KernelParts& parts)
      : shape_(std::move(shape)),
        weight_(parts.parameters[0]),
        bias_(parts.parameters.size() > 1 ? &parts.parameters[1] : nullptr),
        weight_view_(lifted(weight_.value)),
        uses_onednn_(!shape_.is_transposed && parts.options.dtype == at::kFloat && parts.options.device.is_cpu()) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& input = inputs[0].tensor;
    saved.tensors = {input};
    const at::Tensor x = lifted(input);
    const std::optional<at::Tensor> bias = bias_ != nullptr ? std::optional(bias_->value) : std::nullopt;
    const at::Tensor y = uses_onednn_
                             ? forward_by_onednn(x, bias)
                             : at::convolution(x, weight_view_, bias, shape_.stride, shape_.padding, shape_.dilation,
                                               shape_.is_transposed, no_padding(), shape_.groups);
    return lowered(y, input.dim());
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor input = std::move(saved.tensors[0]);
    const at::Tensor x = lifted(input);
    const at::Tensor g = lifted(gradient.contiguous());
    at::Tensor input_gradient, weight_gradient, bias_gradient;
    std::tie(input_gradient, weight_gradient, bias_gradient) =
        uses_onednn_ ? backward_by_onednn(g, x, weight_view_, wants(), true) : backward_by_libtorch(g, x);
    weight_.accumulate(weight_gradient);
    if (bias_ != nullptr) bias_->accumulate(bias_gradient);
    if (wants()) input_gradients[0] = lowered(input_gradient, input.dim());
  }

 private:
  using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

  [[nodiscard]] std::vector<std::int64_t> no_padding() const {
    return std::vector<std::int64_t>(shape_.padding.size(), 0);
  }
  /// oneDNN's fast kernels leave out volumes smaller than the weights' extent (3x3x3 on 2x2x2, the last layers of small
  /// networks); what it does instead holds 4 copies of the weights for every thread. Padded first, such a volume is
  /// large enough.
  [[nodiscard]] bool is_padded_first(const at::Tensor& x) const {
    for (std::size_t i = 0; i < shape_.padding.size(); ++i) {
      const auto dimension = static_cast<std::int64_t>(i) + 2;
      if (shape_.padding[i] > 0 && x.size(dimension) < shape_.dilation[i] * (weight_view_.size(dimension) - 1) + 1)
        return true;
    }
    return false;
  }
  [[nodiscard]] at::Tensor padded(const at::Tensor& x) const {
    std::vector<std::int64_t> both_sides;  // last dimension first
    for (std::size_t i = shape_.padding.size(); i-- > 0;) both_sides.insert(both_sides.end(), 2, shape_.padding[i]);
    return at::constant_pad_nd(x, both_sides);
  }
  [[nodiscard]] at::Tensor without_padding(at::Tensor x) const {
    for (std::size_t i = 0; i < shape_.padding.size(); ++i) {
      const auto dimension = static_cast<std::int64_t>(i) + 2;
      x = x.narrow(dimension, shape_.padding[i], x.size(dimension) - 2 * shape_.padding[i]);
    }
    return x.contiguous();
  }

  [[nodiscard]] at::Tensor forward_by_onednn(const at::Tensor& x, const std::optional<at::Tensor>& bias) const {
    const bool pads = is_padded_first(x);
    return at::mkldnn_convolution(pads ? padded(x) : x, weight_view_, bias, pads ? no_padding() : shape_.padding,
                                  shape_.stride, shape_.dilation, shape_.groups);
  }
  [[nodiscard]] Gradients backward_by_onednn(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight,
                                             bool wants_input, bool wants_bias) const {
    const bool pads = is_padded_first(x);
    // What LibTorch's own backward calls; it has no public name, and calling the stub itself does not link.
    Gradients result = at::native::mkldnn_convolution_backward_stub_DECLARE_DISPATCH_type::DEFAULT(
        pads ? padded(x) : x, gradient, weight, pads ? no_padding() : shape_.padding, shape_.stride, shape_.dilation,
        shape_.groups, {wants_input, true, wants_bias && bias_ != nullptr});
    if (pads && wants_input) std::get<0>(result) = without_padding(std::get<0>(result));
    return result;
  }
  [[nodiscard]] Gradients backward_by_libtorch(const at::Tensor& gradient, const at::Tensor& x) const {
    const std::vector<std::int64_t> bias_sizes{gradient.size(1)};
    const bool widens = widens_weight_gradient(gradient);
    Gradients result = at::convolution_backward(gradient, x, weight_view_, at::OptionalIntArrayRef(bias_sizes),
                                                shape_.stride, shape_.padding, shape_.dilation, shape_.is_transposed,
                                                no_padding(), shape_.groups, {wants(), !widens, bias_ != nullptr});
    if (widens)  // the weights give their shape alone: no memory for them
      std::get<1>(result) =
          std::get<1>(backward_by_onednn(gradient.to(at::kFloat), x.to(at::kFloat),
                                         at::zeros({1}, at::kFloat).expand(weight_view_.sizes()), false, false));
    return result;
  }
  /// LibTorch 2.11's oneDNN leaves bfloat16 gradients of weights unwritten at some small volumes (32 channels, 3x3x3 on
  /// 2x2x2: random memory): they are computed in float32 on the CPU.
  [[nodiscard]] bool widens_weight_gradient(const at::Tensor& gradient) const {
    return gradient.is_cpu() && gradient.scalar_type() == at::kBFloat16 && !shape_.is_transposed;
  }

  Shape shape_;
  Parameter& weight_;
  Parameter* bias_;
  at::Tensor weight_view_;
  bool uses_onednn_;
};

}  // namespace

KernelPointer make_kernel(const Convolution& layer, const KernelParts& parts) {
  ConvolutionKernel::Shape shape{lifted(layer.stride, 1), lifted(layer.padding, 0), lifted(layer.dilation, 1),
                                 layer.groups, false};
  return std::make_unique<ConvolutionKernel>(std::move(shape), parts);
}

KernelPointer make_kernel(const TransposedConvolution& layer, const KernelParts& parts) {
  ConvolutionKernel::Shape shape{lifted(layer.stride, 1), lifted(layer.padding, 0),
                                 lifted(std::vector<std::int64_t>(layer.stride.size(), 1), 1), 1, true};
  return std::make_unique<ConvolutionKernel>(std::move(shape), parts);
}

}  // namespace gabra::exec
