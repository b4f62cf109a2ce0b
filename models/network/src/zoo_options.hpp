// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/network/network.hpp"
#include "gabra/network/zoo.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gabra {

/// The values of a zoo network's options: what "NAME:option=value,..." gives, and the entry's fallbacks for the rest.
class ZooOptions {
 public:
  ZooOptions(const ZooEntry& entry, std::string_view text, FaultList& faults);

  /// A whole number within the range; a multiple of `step`.
  std::int64_t integer(const std::string& option, std::int64_t low, std::int64_t high, std::int64_t step = 1);
  /// A number from 0 to less than 1.
  double share(const std::string& option);
  /// "3x224x224": that many dimensions.
  Shape shape(const std::string& option, std::size_t dimensions);
  /// A value that is right alone but not with the others.
  void refuse(const std::string& option, std::string allowed);

  [[nodiscard]] const std::vector<std::string>& given() const { return given_; }
  [[nodiscard]] std::string value(const std::string& option) const { return values_.at(option); }
  [[nodiscard]] std::string place(std::string_view option) const;

 private:
  std::string text_;
  FaultList& faults_;
  std::map<std::string, std::string, std::less<>> values_;
  std::vector<std::string> given_;
};

/// Layers of a network under construction.
class LayerList {
 public:
  /// Returns `name`, to be used as an input of later layers.
  std::string add(std::string name, LayerAttributes attributes, std::vector<std::string> inputs) {
    layers_.push_back({std::move(name), std::move(attributes), std::move(inputs)});
    return layers_.back().name;
  }
  [[nodiscard]] std::vector<LayerSpec> take() { return std::move(layers_); }

 private:
  std::vector<LayerSpec> layers_;
};

/// Makers of the zoo's networks; bad values go to the options' list of faults.
struct ResidualDesign {
  std::vector<int> blocks;
  std::size_t spatial_dimensions;
  bool has_bottlenecks;
  bool has_attention;
};
[[nodiscard]] std::vector<LayerSpec> residual_layers(ZooOptions& options, const ResidualDesign& design);
[[nodiscard]] std::vector<LayerSpec> vgg_16_layers(ZooOptions& options);
[[nodiscard]] std::vector<LayerSpec> alexnet_layers(ZooOptions& options);
[[nodiscard]] std::vector<LayerSpec> unet_3d_layers(ZooOptions& options);
[[nodiscard]] std::vector<LayerSpec> gpt_layers(ZooOptions& options);

}  // namespace gabra
