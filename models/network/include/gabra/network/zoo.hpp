// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gabra {

struct ZooOption {
  std::string name;      ///< "width"
  std::string fallback;  ///< "64"
  std::string meaning;
};

struct ZooEntry {
  std::string name;  ///< "3d-resattnet-34"
  std::string summary;
  std::vector<ZooOption> options;
};

/// Everything that is built in, in alphabetical order.
[[nodiscard]] const std::vector<ZooEntry>& network_zoo();

/// Builds "NAME[:option=value,...]". Throws InputError for an unknown name or option, or a bad value.
[[nodiscard]] Network make_zoo_network(std::string_view text);

/// What `--network` means: a zoo name with options, or a file (gabra/network/1 JSON, a PipeDream profile graph, an
/// ONNX model where built in), told apart by content. A name that is both is the zoo's.
[[nodiscard]] Network load_network(const std::string& name_or_file);

}  // namespace gabra
