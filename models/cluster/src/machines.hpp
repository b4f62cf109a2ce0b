// SPDX-License-Identifier: MIT
#pragma once

#include "preset_builder.hpp"

#include <string>
#include <vector>

namespace gabra::detail {

/// A machine that gabra knows by name, with the values of its options.
struct Machine {
  std::string name;
  std::string summary;
  PresetOptions defaults;  ///< `gpus` is also the most
  std::string network;     ///< network cards of a machine, for messages
  Cluster::Description (*describe)(const Machine&, const PresetOptions&);
};

[[nodiscard]] const std::vector<Machine>& machines();

}  // namespace gabra::detail
