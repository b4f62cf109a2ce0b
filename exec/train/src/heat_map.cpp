// SPDX-License-Identifier: MIT
#include "heat_map.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "whole_network.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace gabra::exec {
namespace {

constexpr std::int64_t kMicroBatch = 0;

bool is_pooling(const Layer& layer) {
  return std::holds_alternative<AdaptiveAveragePool>(layer.attributes) ||
         std::holds_alternative<AveragePool>(layer.attributes) || std::holds_alternative<MaxPool>(layer.attributes);
}

/// Layers whose output is a volume and all that the layers after them read.
std::vector<const Layer*> feature_layers(const Network& network) {
  std::vector<const Layer*> result;
  std::size_t earliest = network.layers().size();  // that a later layer reads
  for (std::size_t i = network.layers().size(); i-- > 0;) {
    const Layer& layer = network.layers()[i];
    const bool is_passed_by_all = earliest >= i && i + 1 < network.layers().size();
    if (is_passed_by_all && layer.output.size() == 4 && !std::holds_alternative<Input>(layer.attributes))
      result.push_back(&layer);
    for (const LayerId input : layer.inputs) earliest = std::min(earliest, input.index());
  }
  return result;  // last first
}

const Layer& feature_layer(const Network& network, const HeatQuestion& question, const std::string& place) {
  const std::vector<const Layer*> layers = feature_layers(network);
  std::vector<std::string> names;
  for (const Layer* layer : layers) {
    const bool is_default = !is_pooling(*layer) && !std::holds_alternative<Dropout>(layer->attributes);
    if (question.layer ? layer->name == *question.layer : is_default) return *layer;
    names.push_back(layer->name);
  }
  if (names.empty())
    throw_input_error(place, "a network " + in_quotes(network.name()) + " without a feature map before its head",
                      "a classifier of volumes");
  throw_input_error("--layer", in_quotes(question.layer.value_or("")),
                    fmt::format("a layer through which everything passes, one of {}", fmt::join(names, ", ")));
}

/// The same network with two units: up to the feature map, and the head.
Network cut_at(const Network& network, const Layer& feature) {
  std::vector<LayerSpec> specs;
  for (const Layer& layer : network.layers()) {
    LayerSpec spec{layer.name, layer.attributes, {}};
    for (const LayerId input : layer.inputs) spec.inputs.push_back(network.layer(input).name);
    specs.push_back(std::move(spec));
  }
  const std::vector<std::string> ends{feature.name, network.layers().back().name};
  return Network::build(network.name(), std::move(specs), network.name(), ends);
}

std::unique_ptr<StageModule> make_unit(const Network& network, std::int32_t unit,
                                       const std::vector<NamedTensor>& weights, c10::Device device,
                                       const std::string& place) {
  StageOutline outline;
  outline.units = {unit, unit + 1};
  outline.devices = {DeviceId(0)};
  auto module = std::make_unique<StageModule>(network, outline, Optimizer::SgdMomentum, ModelOptions{.device = device});
  load_module(*module, weights, place);
  return module;
}

}  // namespace

HeatMap grad_cam(const Network& network, const std::vector<NamedTensor>& weights, const at::Tensor& input,
                 const HeatQuestion& question, const std::string& place) {
  const Layer& feature = feature_layer(network, question, place);
  const Network cut = cut_at(network, feature);
  GABRA_CHECK(cut.unit_count() == 2 && cut.unit_tensors().size() == 1, "the head reads the feature map alone");
  PassContext pass;
  pass.is_training = false;
  pass.updates_statistics = false;
  const auto body = make_unit(cut, 0, weights, question.device, place);
  body->put_network_input(kMicroBatch, {input.to(question.device)});
  body->forward(kMicroBatch, false, pass);
  const at::Tensor maps = body->output(kMicroBatch, 0).clone();
  const auto head = make_unit(cut, 1, weights, question.device, place);
  head->put_activation(kMicroBatch, 0, maps.clone());
  head->forward(kMicroBatch, true, pass);
  const at::Tensor scores = head->take_network_output(kMicroBatch).clone();
  HeatMap result;
  result.layer = feature.name;
  result.probabilities = at::softmax(scores.cpu().to(at::kDouble), 1)[0];
  result.class_index = question.class_index.value_or(result.probabilities.argmax().item<std::int64_t>());
  at::Tensor gradient = at::zeros_like(scores);
  gradient[0][result.class_index].fill_(1.0);
  head->put_output_gradient(kMicroBatch, gradient);
  head->backward(kMicroBatch, -1);
  const at::Tensor slope = head->take_input_gradient(kMicroBatch, 0);
  const at::Tensor weight = slope.mean({2, 3, 4}, true);
  result.heat = (weight * maps).sum(1)[0].clamp_min(0.0).cpu();
  return result;
}

}  // namespace gabra::exec
