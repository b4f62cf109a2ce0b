// SPDX-License-Identifier: MIT
#include "zoo_options.hpp"

#include <fmt/format.h>

namespace gabra {
namespace {

/// ResNets of two or three dimensions. 2-D ones are laid out as in torchvision: the stride of a bottleneck is in its
/// middle convolution. 3-D ones are our own declared layout: the same with 3-D kernels, basic blocks, and, in
/// 3D-ResAttNet, self-attention over positions after stages 2, 3 and 4.
class ResidualMaker {
 public:
  explicit ResidualMaker(const ResidualDesign& design) : design_(design) {}

  std::vector<LayerSpec> make(const Shape& input, std::int64_t width, std::int64_t classes) {
    std::string x = list_.add("input", Input{input}, {});
    x = convolve("stem.conv", x, width, 7, 2);
    x = list_.add("stem.bn", BatchNorm{}, {x});
    x = list_.add("stem.relu", Relu{}, {x});
    x = list_.add("stem.pool", MaxPool{all(3), all(2), all(1)}, {x});
    std::int64_t channels = width;
    for (std::size_t stage = 0; stage < design_.blocks.size(); ++stage) {
      const std::int64_t inner = width << stage;
      const std::int64_t outer = design_.has_bottlenecks ? 4 * inner : inner;
      for (int block = 0; block < design_.blocks[stage]; ++block) {
        const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        const std::string name = fmt::format("s{}b{}", stage + 1, block + 1);
        x = add_block(
            name, x,
            {.inner = inner, .outer = outer, .stride = stride, .has_projection = stride != 1 || channels != outer});
        channels = outer;
      }
      if (design_.has_attention && stage > 0) x = list_.add(fmt::format("attn{}", stage + 1), PositionAttention{}, {x});
    }
    x = list_.add("head.pool", AdaptiveAveragePool{all(1)}, {x});
    x = list_.add("head.flatten", Flatten{}, {x});
    list_.add("head.linear", Linear{classes}, {x});
    return list_.take();
  }

 private:
  struct Block {
    std::int64_t inner, outer, stride;
    bool has_projection;
  };

  [[nodiscard]] std::vector<std::int64_t> all(std::int64_t extent) const {
    return std::vector<std::int64_t>(design_.spatial_dimensions, extent);
  }
  std::string convolve(const std::string& name, const std::string& x, std::int64_t channels, std::int64_t kernel,
                       std::int64_t stride) {
    Convolution convolution;
    convolution.out_channels = channels;
    convolution.kernel = all(kernel);
    convolution.stride = all(stride);
    convolution.padding = all(kernel / 2);
    convolution.bias = false;
    return list_.add(name, convolution, {x});
  }
  /// Convolution, batch norm, and ReLU but after the last of a block.
  std::string add_step(const std::string& name, int step, const std::string& x, std::int64_t channels,
                       std::int64_t kernel, std::int64_t stride, bool has_relu) {
    std::string y = convolve(fmt::format("{}.conv{}", name, step), x, channels, kernel, stride);
    y = list_.add(fmt::format("{}.bn{}", name, step), BatchNorm{}, {y});
    return has_relu ? list_.add(fmt::format("{}.relu{}", name, step), Relu{}, {y}) : y;
  }
  std::string add_block(const std::string& name, const std::string& x, const Block& block) {
    std::string y;
    if (design_.has_bottlenecks) {
      y = add_step(name, 1, x, block.inner, 1, 1, true);
      y = add_step(name, 2, y, block.inner, 3, block.stride, true);
      y = add_step(name, 3, y, block.outer, 1, 1, false);
    } else {
      y = add_step(name, 1, x, block.inner, 3, block.stride, true);
      y = add_step(name, 2, y, block.outer, 3, 1, false);
    }
    std::string shortcut = x;
    if (block.has_projection) {
      shortcut = convolve(name + ".shortcut.conv", x, block.outer, 1, block.stride);
      shortcut = list_.add(name + ".shortcut.bn", BatchNorm{}, {shortcut});
    }
    y = list_.add(name + ".add", Add{}, {y, shortcut});
    return list_.add(name + ".relu", Relu{}, {y});
  }

  ResidualDesign design_;
  LayerList list_;
};

}  // namespace

std::vector<LayerSpec> residual_layers(ZooOptions& options, const ResidualDesign& design) {
  const Shape input = options.shape("input", design.spatial_dimensions + 1);
  // Attention divides its channels, twice the width and more, by 8; a whole share of the width itself is asked for.
  const std::int64_t width =
      design.has_attention ? options.integer("width", 8, 4096, 8) : options.integer("width", 1, 4096);
  const std::int64_t classes = options.integer("classes", 1, 1'000'000);
  return ResidualMaker(design).make(input, width, classes);
}

}  // namespace gabra
