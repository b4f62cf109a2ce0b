// SPDX-License-Identifier: MIT
#include "zoo_options.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra {
namespace {

/// Convolutions with bias and ReLU, then three linear layers: VGG and AlexNet as in torchvision, channels scaled.
class PlainMaker {
 public:
  explicit PlainMaker(const Shape& input) : x_(list_.add("input", Input{input}, {})) {}

  void convolve(const std::string& name, std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                std::int64_t padding) {
    Convolution convolution;
    convolution.out_channels = channels;
    convolution.kernel = {kernel, kernel};
    convolution.stride = {stride, stride};
    convolution.padding = {padding, padding};
    add(name + ".conv", convolution);
    add(name + ".relu", Relu{});
  }
  void add(const std::string& name, LayerAttributes attributes) { x_ = list_.add(name, std::move(attributes), {x_}); }
  [[nodiscard]] std::vector<LayerSpec> take() { return list_.take(); }

 private:
  LayerList list_;
  std::string x_;
};

/// 3-D U-Net: at every level two 3x3x3 convolutions with batch norm and ReLU, width x 2^level channels; down by max
/// pooling, up by transposed convolutions that halve the channels, and the skip concatenated. Our own declared layout.
class UnetMaker {
 public:
  std::vector<LayerSpec> make(const Shape& input, std::int64_t depth, std::int64_t width, std::int64_t classes) {
    std::string x = list_.add("input", Input{input}, {});
    std::vector<std::string> skips;
    for (std::int64_t level = 1; level <= depth; ++level) {
      const std::string name = fmt::format("down{}", level);
      if (level > 1) x = list_.add(name + "a.pool", MaxPool{all(2), all(2), all(0)}, {x});
      x = add_step(name + "a", "", x, width << (level - 1));
      x = add_step(name + "b", "", x, width << (level - 1));
      skips.push_back(x);
    }
    // The lowest skip is short: what it spans, from pooling to concatenation, becomes one unit.
    x = list_.add("bottom.pool", MaxPool{all(2), all(2), all(0)}, {x});
    x = add_step("bottom", "1", x, width << depth);
    x = add_step("bottom", "2", x, width << depth);
    for (std::int64_t level = depth; level >= 1; --level) {
      const std::string name = fmt::format("up{}", level);
      const std::string join = level == depth ? "bottom" : name;
      TransposedConvolution up;
      up.out_channels = width << (level - 1);
      up.kernel = up.stride = all(2);
      x = list_.add(join + ".enlarge", up, {x});
      x = list_.add((level == depth ? "bottom" : name + "a") + ".concat", Concat{},
                    {x, skips[static_cast<std::size_t>(level - 1)]});
      x = add_step(name + "a", "", x, width << (level - 1));
      x = add_step(name + "b", "", x, width << (level - 1));
    }
    Convolution head;
    head.out_channels = classes;
    head.kernel = all(1);
    list_.add("head.conv", head, {x});
    return list_.take();
  }

 private:
  static std::vector<std::int64_t> all(std::int64_t extent) { return {extent, extent, extent}; }
  std::string add_step(const std::string& name, const std::string& suffix, const std::string& x,
                       std::int64_t channels) {
    Convolution convolution;
    convolution.out_channels = channels;
    convolution.kernel = all(3);
    convolution.padding = all(1);
    convolution.bias = false;
    std::string y = list_.add(name + ".conv" + suffix, convolution, {x});
    y = list_.add(name + ".bn" + suffix, BatchNorm{}, {y});
    return list_.add(name + ".relu" + suffix, Relu{}, {y});
  }

  LayerList list_;
};

}  // namespace

std::vector<LayerSpec> vgg_16_layers(ZooOptions& options) {
  const Shape input = options.shape("input", 3);
  const std::int64_t width = options.integer("width", 1, 4096);
  const std::int64_t classes = options.integer("classes", 1, 1'000'000);
  const double dropout = options.share("dropout");
  PlainMaker maker(input);
  const int convolutions[] = {2, 2, 3, 3, 3};
  for (int stage = 1; stage <= 5; ++stage)
    for (int i = 1; i <= convolutions[stage - 1]; ++i) {
      const std::string name = fmt::format("conv{}_{}", stage, i);
      maker.convolve(name, width << std::min(stage - 1, 3), 3, 1, 1);
      if (i == convolutions[stage - 1]) maker.add(name + ".pool", MaxPool{{2, 2}, {2, 2}, {0, 0}});
    }
  maker.add("fc1.pool", AdaptiveAveragePool{{7, 7}});
  maker.add("fc1.flatten", Flatten{});
  for (int i = 1; i <= 2; ++i) {
    maker.add(fmt::format("fc{}.linear", i), Linear{4096});
    maker.add(fmt::format("fc{}.relu", i), Relu{});
    maker.add(fmt::format("fc{}.dropout", i), Dropout{dropout});
  }
  maker.add("fc3", Linear{classes});
  return maker.take();
}

std::vector<LayerSpec> alexnet_layers(ZooOptions& options) {
  const Shape input = options.shape("input", 3);
  const std::int64_t width = options.integer("width", 1, 4096);
  const std::int64_t classes = options.integer("classes", 1, 1'000'000);
  const double dropout = options.share("dropout");
  const MaxPool pool{{3, 3}, {2, 2}, {0, 0}};
  PlainMaker maker(input);
  maker.convolve("conv1", width, 11, 4, 2);
  maker.add("conv1.pool", pool);
  maker.convolve("conv2", 3 * width, 5, 1, 2);
  maker.add("conv2.pool", pool);
  maker.convolve("conv3", 6 * width, 3, 1, 1);
  maker.convolve("conv4", 4 * width, 3, 1, 1);
  maker.convolve("conv5", 4 * width, 3, 1, 1);
  maker.add("conv5.pool", pool);
  maker.add("fc1.pool", AdaptiveAveragePool{{6, 6}});
  maker.add("fc1.flatten", Flatten{});
  maker.add("fc1.dropout1", Dropout{dropout});
  maker.add("fc1.linear", Linear{4096});
  maker.add("fc1.relu", Relu{});
  maker.add("fc1.dropout2", Dropout{dropout});
  maker.add("fc2.linear", Linear{4096});
  maker.add("fc2.relu", Relu{});
  maker.add("fc3", Linear{classes});
  return maker.take();
}

std::vector<LayerSpec> unet_3d_layers(ZooOptions& options) {
  const Shape input = options.shape("input", 4);
  const std::int64_t depth = options.integer("depth", 1, 6);
  const std::int64_t width = options.integer("width", 1, 1024);
  const std::int64_t classes = options.integer("classes", 1, 100'000);
  const std::int64_t multiple = std::int64_t{1} << depth;
  if (std::any_of(input.begin() + 1, input.end(), [&](std::int64_t extent) { return extent % multiple != 0; }))
    options.refuse("input",
                   fmt::format("depth, height and width that are multiples of {}, 2 to the power of depth", multiple));
  return UnetMaker().make(input, depth, width, classes);
}

}  // namespace gabra
