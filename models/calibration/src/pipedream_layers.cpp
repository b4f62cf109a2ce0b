// SPDX-License-Identifier: MIT
#include "gabra/calibration/tables.hpp"

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace gabra {
namespace {

constexpr double kElement = 4.0;  // float32

/// The number behind `key` in a description such as "Conv2d(128, 256, kernel_size=(3, 3), groups=1)"; with an empty
/// key the `index`-th argument.
std::optional<double> argument(std::string_view description, std::string_view key, int index = 0) {
  std::size_t at = description.find('(');
  if (at == std::string_view::npos) return std::nullopt;
  ++at;
  if (!key.empty()) {
    at = description.find(key, at);
    if (at == std::string_view::npos) return std::nullopt;
    at += key.size();
  }
  for (; index > 0; --index) {
    at = description.find(',', at);
    if (at == std::string_view::npos) return std::nullopt;
    ++at;
  }
  while (at < description.size() && (description[at] == ' ' || description[at] == '(' || description[at] == '=')) ++at;
  double value = 0.0;
  const auto [end, error] = std::from_chars(description.data() + at, description.data() + description.size(), value);
  if (error != std::errc() || end == description.data() + at) return std::nullopt;
  return value;
}

struct Work {
  ComputeClass compute_class = ComputeClass::Elementwise;
  double flops = 0.0;  // forward, one sample
  double rows = 1.0;   // one sample
};

std::optional<Work> work_of(std::string_view description, double output_elements) {
  if (description.starts_with("Conv2d(")) {
    const auto in = argument(description, "", 0), out = argument(description, "", 1);
    const auto height = argument(description, "kernel_size"), width = argument(description, "kernel_size", 1);
    if (!in || !out || !height || !width || *out <= 0.0) return std::nullopt;
    const double groups = argument(description, "groups").value_or(1.0);
    return Work{ComputeClass::Convolution, 2.0 * output_elements * *in / groups * *height * *width,
                output_elements / *out};
  }
  if (description.starts_with("Linear(")) {
    const auto in = argument(description, "in_features"), out = argument(description, "out_features");
    if (!in || !out || *out <= 0.0) return std::nullopt;
    return Work{ComputeClass::MatrixProduct, 2.0 * output_elements * *in, output_elements / *out};
  }
  if (description.starts_with("BatchNorm2d(")) return Work{ComputeClass::Normalization, 0.0, 1.0};
  if (description.starts_with("ReLU(")) return Work{ComputeClass::Elementwise, 0.0, 1.0};
  if (description.starts_with("MaxPool2d(")) return Work{ComputeClass::Pooling, 0.0, 1.0};
  return std::nullopt;
}

}  // namespace

LayerTable layers_of_pipedream(const Network& network) {
  LayerTable table;
  table.name = network.name();
  for (const Layer& layer : network.layers()) {
    const auto* opaque = std::get_if<Opaque>(&layer.attributes);
    // What joins several outputs was not in the graph.
    if (opaque == nullptr || opaque->description == "all outputs") continue;
    table.batch = opaque->batch;
    table.times.push_back(
        {layer.name, opaque->description, {opaque->batch, opaque->forward, opaque->backward, Bytes(0)}});
    const double output = static_cast<double>(opaque->output_bytes) / kElement;
    const auto work = work_of(opaque->description, output);
    if (!work) {
      LayerTable::Unknown& unknown = table.unknown[opaque->description.substr(0, opaque->description.find('('))];
      ++unknown.layers;
      unknown.seconds += opaque->forward + opaque->backward;
      continue;
    }
    double input = 0.0;
    for (const LayerId source : layer.inputs)
      if (const auto* maker = std::get_if<Opaque>(&network.layer(source).attributes))
        input += static_cast<double>(maker->output_bytes) / kElement;
    const auto batch = static_cast<double>(opaque->batch);
    const auto weights = static_cast<double>(opaque->parameter_bytes);
    const auto add = [&](Seconds seconds, double passes, double weight_passes) {
      if (seconds.value() <= 0.0) return;
      table.work.push_back({.compute_class = work->compute_class,
                            .flops = Flops(work->flops * batch * passes),
                            .bytes = (input + output) * kElement * batch * passes + weights * weight_passes,
                            .rows = work->rows * batch,
                            .seconds = seconds});
    };
    add(opaque->forward, 1.0, 1.0);
    add(opaque->backward, 2.0, 3.0);
  }
  return table;
}

}  // namespace gabra
