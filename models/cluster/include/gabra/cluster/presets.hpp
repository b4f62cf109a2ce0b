// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gabra {

struct ClusterPreset {
  std::string name;
  std::string summary;
  /// Each "name=meaning", for `gabra zoo`.
  std::vector<std::string> options;
};

[[nodiscard]] const std::vector<ClusterPreset>& cluster_presets();

/// Builds "NAME[:option=value,...]". Throws InputError for an unknown name or option, or a bad value.
[[nodiscard]] Cluster make_preset_cluster(std::string_view text);

/// Reads the gabra/cluster/1 format (docs/formats.md). Throws InputError with every fault.
[[nodiscard]] Cluster parse_cluster(std::string_view json_text, const std::string& name);

/// The gabra/cluster/1 text; parse_cluster() of it gives an identical cluster.
[[nodiscard]] std::string to_json_text(const Cluster& cluster);

}  // namespace gabra
