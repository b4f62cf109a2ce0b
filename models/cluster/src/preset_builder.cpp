// SPDX-License-Identifier: MIT
#include "preset_builder.hpp"

#include <fmt/format.h>

namespace gabra::detail {
namespace {
/// From one network card to another machine's: half on each side. Own choice (a few microseconds is usual).
constexpr Seconds kFabricLatency{2e-6};
}  // namespace

DescriptionBuilder::DescriptionBuilder(std::string name, const PresetOptions& options, std::string device_prefix,
                                       DeviceKind kind)
    : options_(options) {
  description_.name = std::move(name);
  kind.memory = options.memory;
  description_.kinds.push_back(std::move(kind));
  for (int node = 0; node < options.nodes; ++node)
    for (int i = 0; i < options.gpus; ++i)
      description_.devices.push_back({name_in(node, fmt::format("{}{}", device_prefix, i)), DeviceKindId(0), node});
  if (options.nodes == 1) return;
  fabric_ = add_switch(-1, "fabric");
  description_.sources.push_back(
      fmt::format("fabric: one switch that never limits, {} each network card as stated by the "
                  "preset or its option, 2 us from each card to it: own choice",
                  to_text(options.fabric)));
}

VertexId DescriptionBuilder::device(int node, int index) const {
  return VertexId(static_cast<std::int32_t>(node * options_.gpus + index));
}

std::string DescriptionBuilder::name_in(int node, const std::string& name) const {
  return options_.nodes > 1 && node >= 0 ? fmt::format("node{}/{}", node, name) : name;
}

const std::string& DescriptionBuilder::name_of(VertexId id) const {
  const std::size_t devices = description_.devices.size();
  return id.index() < devices ? description_.devices[id.index()].name
                              : description_.switches[id.index() - devices].name;
}

VertexId DescriptionBuilder::add_switch(int node, const std::string& name) {
  description_.switches.push_back({name_in(node, name), node, false});
  return VertexId(description_.devices.size() + description_.switches.size() - 1);
}

void DescriptionBuilder::connect(VertexId a, VertexId b, const Cable& cable) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)})
    description_.links.push_back({.name = fmt::format("{}->{}", name_of(from), name_of(to)),
                                  .from = from,
                                  .to = to,
                                  .bandwidth = cable.bandwidth,
                                  .latency = cable.latency,
                                  .lanes = cable.lanes,
                                  .is_fat_pipe = false,
                                  .is_nvlink = cable.is_nvlink});
}

void DescriptionBuilder::add_network_card(int node, int index, VertexId host, const Cable& bus) {
  if (options_.nodes == 1) return;
  const VertexId card = add_switch(node, fmt::format("NIC{}", index));
  connect(host, card, bus);
  connect(card, fabric_, {.bandwidth = options_.fabric, .latency = kFabricLatency});
}

void DescriptionBuilder::add_sources(const std::vector<std::string>& sources) {
  description_.sources.insert(description_.sources.end(), sources.begin(), sources.end());
}

}  // namespace gabra::detail
