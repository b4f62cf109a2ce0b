// SPDX-License-Identifier: MIT
#include "state.hpp"

#include "gabra/core/hasher.hpp"
#include "gabra/core/rng.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <utility>

namespace gabra::exec {
namespace {

using Sizes = std::vector<std::int64_t>;

/// The rule of each kind, as overloads of rule(); the shapes are PyTorch's.
class StateRules {
 public:
  StateRules(const Network& network, const Layer& layer) : layer_(layer) {
    if (!layer.inputs.empty()) input_ = network.layer(layer.inputs[0]).output;
  }

  void rule(const Convolution& a) {
    Sizes weight{a.out_channels, input_[0] / a.groups};
    weight.insert(weight.end(), a.kernel.begin(), a.kernel.end());
    product("", weight, a.bias, a.out_channels);
  }
  void rule(const TransposedConvolution& a) {
    Sizes weight{input_[0], a.out_channels};
    weight.insert(weight.end(), a.kernel.begin(), a.kernel.end());
    product("", weight, a.bias, a.out_channels);
  }
  void rule(const BatchNorm&) {
    affine(input_[0]);
    add("running_mean", {input_[0]}, Initial::Zero).entry.is_parameter = false;
    add("running_var", {input_[0]}, Initial::One).entry.is_parameter = false;
  }
  void rule(const LayerNorm&) { affine(input_.back()); }
  void rule(const Linear& a) { product("", {a.out_features, input_.back()}, a.bias, a.out_features); }
  void rule(const PositionAttention& a) {
    const std::int64_t channels = input_[0], reduced = channels / a.reduction;
    const Sizes ones(input_.size() - 1, 1);
    add("gamma", {1}, Initial::Zero);
    for (const auto& [name, out] : {std::pair{"q.", reduced}, {"k.", reduced}, {"v.", channels}}) {
      Sizes weight{out, channels};
      weight.insert(weight.end(), ones.begin(), ones.end());
      product(name, weight, true, out);
    }
  }
  void rule(const CausalAttention&) {
    const std::int64_t features = input_[1];
    product("qkv.", {3 * features, features}, true, 3 * features);
    product("out.", {features, features}, true, features);
  }
  void rule(const Embedding& a) {
    add("token.weight", {a.vocabulary, a.features}, Initial::Normal).spread = 1.0;
    add("position.weight", {a.positions, a.features}, Initial::Normal).spread = 1.0;
  }
  template <class Stateless>
  void rule(const Stateless&) {}

  std::vector<StateRule> take() { return std::move(rules_); }

 private:
  StateRule& add(const std::string& name, Sizes shape, Initial initial) {
    rules_.push_back({{layer_.name + "." + name, std::move(shape), true}, initial, 0.0});
    return rules_.back();
  }
  void affine(std::int64_t count) {
    add("weight", {count}, Initial::One);
    add("bias", {count}, Initial::Zero);
  }
  /// PyTorch's kaiming_uniform_(a = sqrt(5)): all uniform within 1/sqrt(fan in), where the fan is the product of all
  /// sizes but the first, for transposed convolutions too.
  void product(const std::string& prefix, Sizes weight, bool has_bias, std::int64_t outputs) {
    double fan_in = 1.0;
    for (std::size_t i = 1; i < weight.size(); ++i) fan_in *= static_cast<double>(weight[i]);
    const double bound = 1.0 / std::sqrt(fan_in);
    add(prefix + "weight", std::move(weight), Initial::Uniform).spread = bound;
    if (has_bias) add(prefix + "bias", {outputs}, Initial::Uniform).spread = bound;
  }

  const Layer& layer_;
  Shape input_;
  std::vector<StateRule> rules_;
};

double unit_interval(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

std::vector<StateRule> state_of(const Network& network, LayerId layer) {
  StateRules rules(network, network.layer(layer));
  std::visit([&](const auto& a) { rules.rule(a); }, network.layer(layer).attributes);
  return rules.take();
}

std::int64_t element_count(const StateEntry& entry) { return gabra::element_count(entry.shape); }

void initialise(const StateRule& rule, std::uint64_t seed, const at::Tensor& tensor) {
  if (rule.initial == Initial::Zero || rule.initial == Initial::One) {
    tensor.fill_(rule.initial == Initial::One ? 1.0 : 0.0);
    return;
  }
  Hasher hasher;
  hasher.add(seed);
  hasher.add(rule.entry.name);
  const std::uint64_t key = mix_bits(hasher.value());
  const at::Tensor drawn = at::empty(tensor.sizes(), at::kDouble);
  double* const values = drawn.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < drawn.numel(); ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double u = unit_interval(mix_bits(key + 2 * at));
    if (rule.initial == Initial::Uniform) {
      values[i] = rule.spread * (2.0 * u - 1.0);
    } else {  // Box-Muller
      const double angle = 2.0 * std::numbers::pi * unit_interval(mix_bits(key + 2 * at + 1));
      values[i] = rule.spread * std::sqrt(-2.0 * std::log(1.0 - u)) * std::cos(angle);
    }
  }
  tensor.copy_(drawn);
}

std::vector<StateEntry> model_state(const Network& network) {
  std::vector<StateEntry> entries;
  for (std::size_t i = 0; i < network.layers().size(); ++i)
    for (StateRule& rule : state_of(network, LayerId(i))) entries.push_back(std::move(rule.entry));
  return entries;
}

}  // namespace gabra::exec
