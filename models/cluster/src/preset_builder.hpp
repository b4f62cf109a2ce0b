// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/cluster.hpp"

#include <string>
#include <utility>
#include <vector>

namespace gabra::detail {

/// What a user may set behind the colon of a preset's name; the preset's own values otherwise.
struct PresetOptions {
  int nodes = 1;
  int gpus = 1;                ///< per machine, the first ones
  BytesPerSecond fabric{1.0};  ///< of each network card
  Bytes memory;                ///< of each device
};

/// One direction's figures of a cable.
struct Cable {
  BytesPerSecond bandwidth{1.0};
  Seconds latency;
  int lanes = 1;
  bool is_nvlink = false;
};

/// Puts a description together: all devices first (they are numbered before the switches), then switches and cables.
class DescriptionBuilder {
 public:
  DescriptionBuilder(std::string name, const PresetOptions& options, std::string device_prefix, DeviceKind kind);

  [[nodiscard]] VertexId device(int node, int index) const;
  VertexId add_switch(int node, const std::string& name);
  /// A cable between two vertices, one link per direction.
  void connect(VertexId a, VertexId b, const Cable& cable);
  /// A network card on `host` of `node`, joined to the fabric; only where there are several machines.
  void add_network_card(int node, int index, VertexId host, const Cable& bus);

  void add_sources(const std::vector<std::string>& sources);

  Cluster::Description take() { return std::move(description_); }
  Cluster::Description& description() { return description_; }

 private:
  [[nodiscard]] std::string name_in(int node, const std::string& name) const;
  [[nodiscard]] const std::string& name_of(VertexId id) const;

  PresetOptions options_;
  Cluster::Description description_;
  VertexId fabric_;
};

}  // namespace gabra::detail
