// SPDX-License-Identifier: MIT
#include "cpu_kernels.hpp"
#include "kernel.hpp"
#include "spatial.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

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

std::vector<std::int64_t> batched(std::int64_t samples, const Shape& shape) {
  std::vector<std::int64_t> sizes{samples};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return sizes;
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

/// The same with loops of our own: LibTorch's take eight times as long in three dimensions. Keeps positions only.
template <class T>
class MaxPoolOnCpu final : public LayerKernel {
 public:
  MaxPoolOnCpu(Window window, Shape input) : window_(std::move(window)), input_(std::move(input)) {}

  at::Tensor forward(std::span<Operand> inputs, const ForwardPass& /*pass*/, Saved& saved) override {
    const at::Tensor x = inputs[0].tensor.contiguous();
    const cpu::PoolGeometry geometry = geometry_of(x.sizes());
    std::vector<std::int64_t> sizes{x.size(0), x.size(1)};
    sizes.insert(sizes.end(), geometry.output.end() - (x.dim() - 2), geometry.output.end());
    at::Tensor y = at::empty(sizes, x.options());
    const at::Tensor positions = at::empty(sizes, at::kInt);
    const std::int64_t inner = x.numel() / (x.size(0) * x.size(1)), outer = y.numel() / (x.size(0) * x.size(1));
    at::parallel_for(0, x.size(0) * x.size(1), 1, [&](std::int64_t first, std::int64_t end) {
      cpu::PoolScratch<T> scratch;
      for (std::int64_t plane = first; plane < end; ++plane)
        cpu::max_pool_plane(x.const_data_ptr<T>() + plane * inner, y.mutable_data_ptr<T>() + plane * outer,
                            positions.mutable_data_ptr<std::int32_t>() + plane * outer, geometry, scratch);
    });
    saved.tensors = {positions};
    return y;
  }

  void backward(at::Tensor gradient, Saved& saved, std::span<at::Tensor> input_gradients) override {
    const at::Tensor g = gradient.contiguous(), positions = std::move(saved.tensors[0]);
    const at::Tensor result = at::empty(batched(g.size(0), input_), g.options());
    const std::int64_t planes = g.size(0) * g.size(1), inner = result.numel() / planes, outer = g.numel() / planes;
    at::parallel_for(0, planes, 1, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t plane = first; plane < end; ++plane) {
        T* const out = result.mutable_data_ptr<T>() + plane * inner;
        const T* const in = g.const_data_ptr<T>() + plane * outer;
        const std::int32_t* const at = positions.const_data_ptr<std::int32_t>() + plane * outer;
        std::fill_n(out, inner, T{0});
        for (std::int64_t i = 0; i < outer; ++i) out[at[i]] += in[i];
      }
    });
    input_gradients[0] = result;
  }

 private:
  [[nodiscard]] cpu::PoolGeometry geometry_of(c10::IntArrayRef sizes) const {
    cpu::PoolGeometry geometry{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}};
    const std::size_t dimensions = window_.kernel.size();  // two or three
    for (std::size_t i = 0; i < dimensions; ++i) {
      const std::size_t to = 3 - dimensions + i;
      // A single spatial dimension was lifted to two: the first is 1.
      const std::size_t from = sizes.size() - dimensions + i;
      geometry.input[to] = sizes.size() == 3 && i == 0 ? 1 : sizes[from];
      geometry.kernel[to] = window_.kernel[i];
      geometry.stride[to] = window_.stride[i];
      geometry.padding[to] = window_.padding[i];
      geometry.output[to] =
          (geometry.input[to] + 2 * geometry.padding[to] - geometry.kernel[to]) / geometry.stride[to] + 1;
    }
    return geometry;
  }

  Window window_;
  Shape input_;
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
      const std::int64_t positions = element_count(input_) / input_[0];
      input_gradients[0] =
          gradient.div(static_cast<double>(positions)).expand(batched(gradient.size(0), input_)).contiguous();
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
    const std::vector<std::int64_t> sizes = batched(gradient.size(0), input_);
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

KernelPointer make_kernel(const MaxPool& layer, const KernelParts& parts) {
  const bool fits = element_count(input_shape(parts)) / input_shape(parts)[0] < std::int64_t{1} << 31U;
  if (parts.options.device.is_cpu() && fits) {
    if (parts.options.dtype == at::kFloat)
      return std::make_unique<MaxPoolOnCpu<float>>(window_of(layer), input_shape(parts));
    if (parts.options.dtype == at::kDouble)
      return std::make_unique<MaxPoolOnCpu<double>>(window_of(layer), input_shape(parts));
  }
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
