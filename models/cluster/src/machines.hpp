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
  PresetOptions defaults;
  std::string network;  ///< network cards of a machine, for messages
  Cluster::Description (*describe)(const Machine&, const PresetOptions&);
  int most_gpus = 0;  ///< of one machine; 0: as many as by default
  [[nodiscard]] int gpu_limit() const { return most_gpus > 0 ? most_gpus : defaults.gpus; }
};

[[nodiscard]] const std::vector<Machine>& machines();

}  // namespace gabra::detail
