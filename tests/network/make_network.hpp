// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/network/network.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gabra::test {

inline Network build(std::vector<LayerSpec> layers,
                     const std::optional<std::vector<std::string>>& unit_ends = std::nullopt) {
  return Network::build("net", std::move(layers), "net", unit_ends);
}

inline const Layer& layer(const Network& network, const std::string& name) {
  for (const Layer& candidate : network.layers())
    if (candidate.name == name) return candidate;
  throw std::out_of_range(name);
}

inline std::vector<std::string> layer_names(const Network& network) {
  std::vector<std::string> names;
  for (const Layer& layer : network.layers()) names.push_back(layer.name);
  return names;
}

inline std::vector<std::string> unit_names(const Network& network) {
  std::vector<std::string> names;
  for (const Unit& unit : network.units()) names.push_back(unit.name);
  return names;
}

/// What `make` throws, one line per fault, or "" if it does not.
template <class Make>
std::string message_of(Make make) {
  try {
    (void)make();
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gabra::test
