// SPDX-License-Identifier: MIT
#include "shapes.hpp"

#include "limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra {
namespace {

using Extents = std::vector<std::int64_t>;

/// The rule of each kind, as overloads of rule(); faults go to `faults_`, and then the result is meaningless.
class ShapeRules {
 public:
  ShapeRules(std::span<const Shape> inputs, LayerFaults& faults) : inputs_(inputs), faults_(faults) {}

  Shape rule(Input& a) {
    if (a.shape.empty() || a.shape.size() > 4)
      faults_.add("shape", fmt::format("{} dimensions", a.shape.size()), "one to four dimensions");
    for (const std::int64_t extent : a.shape) within("shape", extent, 1, kMostElements);
    if (a.is_token_ids && a.shape.size() != 1)
      faults_.add("shape", "token ids of shape " + to_text(a.shape), "one dimension, the tokens");
    return a.shape;
  }
  Shape rule(Convolution& a) {
    if (!is_image()) return {};
    fill(a.stride, a.kernel.size(), 1);
    fill(a.padding, a.kernel.size(), 0);
    fill(a.dilation, a.kernel.size(), 1);
    within("out_channels", a.out_channels, 1, kMostElements);
    within("groups", a.groups, 1, kMostElements);
    if (!faults_.is_clean()) return {};
    if (input()[0] % a.groups != 0 || a.out_channels % a.groups != 0)
      faults_.add("groups", fmt::format("{}", a.groups),
                  fmt::format("a divisor of {} input and {} output channels", input()[0], a.out_channels));
    return windows(a.out_channels, a.kernel, a.stride, a.padding, a.dilation);
  }
  Shape rule(TransposedConvolution& a) {
    if (!is_image()) return {};
    fill(a.stride, a.kernel.size(), 1);
    fill(a.padding, a.kernel.size(), 0);
    within("out_channels", a.out_channels, 1, kMostElements);
    if (!extents_fit(a.kernel, a.stride, a.padding, Extents(a.kernel.size(), 1)) || !faults_.is_clean()) return {};
    Shape output{a.out_channels};
    for (std::size_t i = 0; i < a.kernel.size(); ++i)
      output.push_back((input()[i + 1] - 1) * a.stride[i] - 2 * a.padding[i] + a.kernel[i]);
    if (*std::min_element(output.begin(), output.end()) < 1)
      faults_.add("padding", "no output position left", "padding that leaves at least one");
    return output;
  }
  Shape rule(BatchNorm& a) {
    between("epsilon", a.epsilon, 0.0, 1.0);
    between("momentum", a.momentum, 0.0, 1.0);
    return input();
  }
  Shape rule(LayerNorm& a) {
    between("epsilon", a.epsilon, 0.0, 1.0);
    return vectors();
  }
  Shape rule(Relu&) { return input(); }
  Shape rule(Gelu&) { return input(); }
  Shape rule(Softmax&) { return input(); }
  Shape rule(Dropout& a) {
    between("probability", a.probability, 0.0, 1.0);
    if (a.probability == 1.0) faults_.add("probability", "1", "a number from 0 to less than 1");
    return input();
  }
  Shape rule(MaxPool& a) { return pool(a.kernel, a.stride, a.padding); }
  Shape rule(AveragePool& a) { return pool(a.kernel, a.stride, a.padding); }
  Shape rule(AdaptiveAveragePool& a) {
    if (!is_image()) return {};
    if (a.output.size() + 1 != input().size())
      faults_.add("output", fmt::format("{} dimensions", a.output.size()), dimensions());
    for (const std::int64_t extent : a.output) within("output", extent, 1, kMostExtent);
    Shape output{input()[0]};
    output.insert(output.end(), a.output.begin(), a.output.end());
    return output;
  }
  Shape rule(Flatten&) { return {element_count(input())}; }
  Shape rule(Linear& a) {
    within("out_features", a.out_features, 1, kMostElements);
    Shape output = vectors();
    if (!output.empty()) output.back() = a.out_features;
    return output;
  }
  Shape rule(Add&) {
    for (const Shape& other : inputs_)
      if (other != input())
        faults_.add("inputs", fmt::format("shapes {} and {}", to_text(input()), to_text(other)), "inputs of one shape");
    return input();
  }
  Shape rule(Concat&) {
    Shape output = input();
    for (const Shape& other : inputs_.subspan(1)) {
      if (other.size() != output.size() || !std::equal(other.begin() + 1, other.end(), output.begin() + 1)) {
        faults_.add("inputs", fmt::format("shapes {} and {}", to_text(input()), to_text(other)),
                    "inputs that differ in the first dimension only");
        return {};
      }
      output[0] += other[0];
    }
    return output;
  }
  Shape rule(Upsample& a) {
    if (!is_image()) return {};
    within("factor", a.factor, 1, kMostExtent);
    Shape output = input();
    for (std::size_t i = 1; i < output.size(); ++i) output[i] *= a.factor;
    return output;
  }
  Shape rule(PositionAttention& a) {
    if (!is_image()) return {};
    within("reduction", a.reduction, 1, kMostElements);
    if (faults_.is_clean() && input()[0] % a.reduction != 0)
      faults_.add("reduction", fmt::format("{}", a.reduction),
                  fmt::format("a divisor of the {} input channels", input()[0]));
    return input();
  }
  Shape rule(CausalAttention& a) {
    within("heads", a.heads, 1, kMostElements);
    if (input().size() != 2) {
      faults_.add("inputs", "shape " + to_text(input()), "tokens x features");
    } else if (faults_.is_clean() && input()[1] % a.heads != 0) {
      faults_.add("heads", fmt::format("{}", a.heads), fmt::format("a divisor of the {} features", input()[1]));
    }
    return input();
  }
  Shape rule(Embedding& a) {
    within("vocabulary", a.vocabulary, 1, kMostElements);
    within("features", a.features, 1, kMostElements);
    within("positions", a.positions, 1, kMostElements);
    if (input().size() != 1)
      faults_.add("inputs", "shape " + to_text(input()), "one dimension, the tokens");
    else if (faults_.is_clean() && input()[0] > a.positions)
      faults_.add("positions", fmt::format("{}", a.positions), fmt::format("at least the {} tokens", input()[0]));
    return {input()[0], a.features};
  }
  Shape rule(Opaque& a) {
    const std::int64_t most = 4 * kMostElements;
    within("output_bytes", a.output_bytes, 0, most);
    within("parameter_bytes", a.parameter_bytes, 0, most);
    within("saved_bytes", a.saved_bytes, 0, most);
    within("batch", a.batch, 1, std::int64_t{1} << 31);
    for (const auto& [field, time] : {std::pair{"forward", a.forward}, std::pair{"backward", a.backward}})
      if (!std::isfinite(time.value()) || time.value() < 0)
        faults_.add(field, fmt::format("{} s", time.value()), "a finite time, not below zero");
    return {(a.output_bytes + 3) / 4};
  }

 private:
  [[nodiscard]] const Shape& input() const { return inputs_[0]; }
  [[nodiscard]] std::string dimensions() const {
    return fmt::format("one number for each of the {} spatial dimensions of the input", input().size() - 1);
  }
  bool is_image() {
    if (input().size() >= 2 && input().size() <= 4) return true;
    faults_.add("inputs", "shape " + to_text(input()), "channels and one to three spatial dimensions");
    return false;
  }
  Shape vectors() {
    if (input().size() <= 2) return input();
    faults_.add("inputs", "shape " + to_text(input()), "features, or tokens x features");
    return {};
  }
  void within(std::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high)
      faults_.add(field, fmt::format("the number {}", value), fmt::format("a whole number from {} to {}", low, high));
  }
  void between(std::string_view field, double value, double low, double high) {
    if (!(value >= low && value <= high))
      faults_.add(field, fmt::format("the number {}", value), fmt::format("a number from {} to {}", low, high));
  }
  static void fill(Extents& extents, std::size_t size, std::int64_t value) {
    if (extents.empty()) extents.assign(size, value);
  }
  bool extents_fit(const Extents& kernel, const Extents& stride, const Extents& padding, const Extents& dilation) {
    const std::pair<std::string_view, const Extents*> all[] = {
        {"kernel", &kernel}, {"stride", &stride}, {"padding", &padding}, {"dilation", &dilation}};
    bool is_right = true;
    for (const auto& [field, extents] : all) {
      if (extents->size() + 1 != input().size()) {
        faults_.add(field, fmt::format("{} numbers", extents->size()), dimensions());
        is_right = false;
      }
      const std::int64_t low = field == "padding" ? 0 : 1;
      for (const std::int64_t extent : *extents) {
        within(field, extent, low, kMostExtent);
        is_right = is_right && extent >= low && extent <= kMostExtent;
      }
    }
    return is_right;
  }
  Shape windows(std::int64_t channels, const Extents& kernel, const Extents& stride, const Extents& padding,
                const Extents& dilation) {
    if (!extents_fit(kernel, stride, padding, dilation)) return {};
    Shape output{channels};
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      const std::int64_t room = input()[i + 1] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1;
      if (room < 0) {
        faults_.add("kernel", fmt::format("a window larger than the input {}", to_text(input())),
                    "a window that fits into the padded input");
        return {};
      }
      output.push_back(room / stride[i] + 1);
    }
    return output;
  }
  Shape pool(Extents& kernel, Extents& stride, Extents& padding) {
    if (!is_image()) return {};
    if (stride.empty()) stride = kernel;
    fill(padding, kernel.size(), 0);
    for (std::size_t i = 0; i < std::min(kernel.size(), padding.size()); ++i)
      if (padding[i] > kernel[i] / 2)
        faults_.add("padding", fmt::format("{}", padding[i]), fmt::format("at most half of the kernel {}", kernel[i]));
    return windows(input()[0], kernel, stride, padding, Extents(kernel.size(), 1));
  }

  std::span<const Shape> inputs_;
  LayerFaults& faults_;
};

struct InputCount {
  std::size_t low, high;
};

InputCount allowed_inputs(const LayerAttributes& attributes) {
  constexpr std::size_t kAny = kMostLayers;
  if (std::holds_alternative<Input>(attributes)) return {0, 0};
  if (std::holds_alternative<Opaque>(attributes)) return {0, kAny};
  if (std::holds_alternative<Add>(attributes) || std::holds_alternative<Concat>(attributes)) return {2, kAny};
  return {1, 1};
}

}  // namespace

std::optional<Shape> derive_shape(LayerAttributes& attributes, std::span<const Shape> inputs, LayerFaults& faults) {
  const InputCount allowed = allowed_inputs(attributes);
  if (inputs.size() < allowed.low || inputs.size() > allowed.high) {
    faults.add("inputs", fmt::format("{} inputs", inputs.size()),
               allowed.high == kMostLayers ? fmt::format("at least {}", allowed.low)
                                           : fmt::format("exactly {} for {}", allowed.low, kind_name(attributes)));
    return std::nullopt;
  }
  ShapeRules rules(inputs, faults);
  Shape output = std::visit([&](auto& a) { return rules.rule(a); }, attributes);
  if (!faults.is_clean()) return std::nullopt;
  std::int64_t elements = 1;
  for (const std::int64_t extent : output) {
    const auto product = bounded_product({elements, extent});
    if (!product) {
      faults.add(std::holds_alternative<Input>(attributes) ? "shape" : "inputs", "an output of " + to_text(output),
                 fmt::format("at most {} elements", kMostElements));
      return std::nullopt;
    }
    elements = *product;
  }
  return output;
}

}  // namespace gabra
