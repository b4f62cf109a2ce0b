// SPDX-License-Identifier: MIT
#include "kernel.hpp"
#include "spatial.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace gabra::exec {
namespace {

struct Window {
  std::vector<std::int64_t> kernel, stride, padding;
};

template <class Pool>
Window window_of(const Pool& layer) {
  return {lifted(layer.kernel, 1), lifted(layer.stride, 1), lifted(layer.padding, 0)};
}

class MaxPoolKernel final : public LayerKernel {
 public:
  explicit MaxPoolKernel(Window window) : window_(std::move(window)), ones_(window_.kernel.size(), 1) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& input = inputs[0].tensor;
    const at::Tensor x = lifted(input);
    auto [y, indices] =
        x.dim() == 5 ? at::max_pool3d_with_indices(x, window_.kernel, window_.stride, window_.padding, ones_, false)
                     : at::max_pool2d_with_indices(x, window_.kernel, window_.stride, window_.padding, ones_, false);
    saved.tensors = {input, indices};
    return lowered(y, input.dim());
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor input = std::move(saved.tensors[0]);
    const at::Tensor x = lifted(input), g = lifted(gradient);
    const at::Tensor result =
        x.dim() == 5 ? at::max_pool3d_with_indices_backward(g, x, window_.kernel, window_.stride, window_.padding,
                                                            ones_, false, saved.tensors[1])
                     : at::max_pool2d_with_indices_backward(g, x, window_.kernel, window_.stride, window_.padding,
                                                            ones_, false, saved.tensors[1]);
    input_gradients[0] = lowered(result, input.dim());
  }

 private:
  Window window_;
  std::vector<std::int64_t> ones_;
};

class AveragePoolKernel final : public LayerKernel {
 public:
  explicit AveragePoolKernel(Window window) : window_(std::move(window)) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& input = inputs[0].tensor;
    saved.tensors = {input};
    const at::Tensor x = lifted(input);
    return lowered(x.dim() == 5 ? at::avg_pool3d(x, window_.kernel, window_.stride, window_.padding, false, true)
                                : at::avg_pool2d(x, window_.kernel, window_.stride, window_.padding, false, true),
                   input.dim());
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor input = std::move(saved.tensors[0]);
    const at::Tensor x = lifted(input), g = lifted(gradient);
    input_gradients[0] = lowered(
        x.dim() == 5
            ? at::avg_pool3d_backward(g, x, window_.kernel, window_.stride, window_.padding, false, true, std::nullopt)
            : at::avg_pool2d_backward(g, x, window_.kernel, window_.stride, window_.padding, false, true, std::nullopt),
        input.dim());
  }

 private:
  Window window_;
};

/// The mean over all positions keeps nothing; other sizes keep the input, as LibTorch's backward wants it.
class AdaptiveAveragePoolKernel final : public LayerKernel {
 public:
  explicit AdaptiveAveragePoolKernel(const AdaptiveAveragePool& layer, Shape input)
      : output_(lifted(layer.output, 1)),
        input_(std::move(input)),
        is_mean_(std::all_of(output_.begin(), output_.end(), [](std::int64_t extent) { return extent == 1; })) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor& input = inputs[0].tensor;
    if (is_mean_) return input.flatten(2).mean(2).view(means(input.size(0)));
    saved.tensors = {input};
    const at::Tensor x = lifted(input);
    return lowered(x.dim() == 5 ? at::adaptive_avg_pool3d(x, output_) : at::adaptive_avg_pool2d(x, output_),
                   input.dim());
  }
  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    if (is_mean_) {
      std::vector<std::int64_t> sizes{gradient.size(0)};
      sizes.insert(sizes.end(), input_.begin(), input_.end());
      const auto positions = static_cast<double>(element_count(input_) / input_[0]);
      input_gradients[0] = gradient.div(positions).expand(sizes).contiguous();
      return;
    }
    const at::Tensor input = std::move(saved.tensors[0]);
    const at::Tensor x = lifted(input), g = lifted(gradient);
    input_gradients[0] = lowered(
        x.dim() == 5 ? at::_adaptive_avg_pool3d_backward(g, x) : at::_adaptive_avg_pool2d_backward(g, x), input.dim());
  }

 private:
  [[nodiscard]] std::vector<std::int64_t> means(std::int64_t samples) const {
    std::vector<std::int64_t> sizes(input_.size() + 1, 1);
    sizes[0] = samples;
    sizes[1] = input_[0];
    return sizes;
  }

  std::vector<std::int64_t> output_;
  Shape input_;
  bool is_mean_;
};

/// Nearest neighbour: every value `factor` times along every spatial dimension.
class UpsampleKernel final : public LayerKernel {
 public:
  UpsampleKernel(Shape input, Shape output) : input_(std::move(input)), output_(std::move(output)) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& /*saved*/) override {
    const at::Tensor& x = inputs[0].tensor;
    const at::IntArrayRef size = at::IntArrayRef(output_).slice(1);
    if (x.dim() == 5) return at::upsample_nearest3d(x, size);
    return x.dim() == 4 ? at::upsample_nearest2d(x, size) : at::upsample_nearest1d(x, size);
  }
  void backward(at::Tensor gradient, Saved& /*saved*/, std::span<at::Tensor> input_gradients) override {
    const at::IntArrayRef size = at::IntArrayRef(output_).slice(1);
    std::vector<std::int64_t> sizes{gradient.size(0)};
    sizes.insert(sizes.end(), input_.begin(), input_.end());
    if (gradient.dim() == 5)
      input_gradients[0] = at::upsample_nearest3d_backward(gradient, size, sizes);
    else if (gradient.dim() == 4)
      input_gradients[0] = at::upsample_nearest2d_backward(gradient, size, sizes);
    else
      input_gradients[0] = at::upsample_nearest1d_backward(gradient, size, sizes);
  }

 private:
  Shape input_, output_;
};

const Shape& input_shape(const KernelParts& parts) {
  return parts.network.layer(parts.network.layer(parts.layer).inputs[0]).output;
}

}  // namespace

KernelPointer make_kernel(const MaxPool& layer, const KernelParts& /*parts*/) {
  return std::make_unique<MaxPoolKernel>(window_of(layer));
}
KernelPointer make_kernel(const AveragePool& layer, const KernelParts& /*parts*/) {
  return std::make_unique<AveragePoolKernel>(window_of(layer));
}
KernelPointer make_kernel(const AdaptiveAveragePool& layer, const KernelParts& parts) {
  return std::make_unique<AdaptiveAveragePoolKernel>(layer, input_shape(parts));
}
KernelPointer make_kernel(const Upsample& /*layer*/, const KernelParts& parts) {
  return std::make_unique<UpsampleKernel>(input_shape(parts), parts.network.layer(parts.layer).output);
}

}  // namespace gabra::exec
