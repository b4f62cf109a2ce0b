// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"

#include "gabra/json/reader.hpp"

#include <fmt/format.h>

namespace gabra {
namespace {

std::string compact(const json::Value& value) {
  return value.dump(-1, ' ', false, json::Value::error_handler_t::replace);
}

/// Without what is as by default: most files are written for people.
void add_overheads(const DeviceKind& kind, json::Value& object) {
  if (kind.launch_ahead == LaunchAhead::Layer) object["launch_ahead"] = "layer";
  if (kind.receive_slowdown) object["receive_slowdown"] = *kind.receive_slowdown;
  if (kind.send_slowdown) object["send_slowdown"] = *kind.send_slowdown;
  if (kind.neighbour_slowdown != 1.0) object["neighbour_slowdown"] = kind.neighbour_slowdown;
  if (kind.instruction_overhead > Seconds(0.0))
    object["instruction_overhead"] = to_exact_text(kind.instruction_overhead);
  if (kind.step_overhead > Seconds(0.0)) object["step_overhead"] = to_exact_text(kind.step_overhead);
  if (kind.copies_layout) object["copies_layout"] = true;
  if (kind.update_bandwidth > BytesPerSecond(0.0)) object["update_bandwidth"] = to_exact_text(kind.update_bandwidth);
}

json::Value to_json(const DeviceKind& kind) {
  json::Value efficiency = json::Value::object();
  for (std::size_t i = 0; i < kComputeClassCount; ++i)
    efficiency[std::string(kComputeClassNames[i])] = {{"flops", kind.efficiency[i].flops},
                                                      {"bandwidth", kind.efficiency[i].bandwidth},
                                                      {"half_rows", kind.efficiency[i].half_rows}};
  json::Value object{{"name", kind.name},
                     {"peak_float32", to_exact_text(kind.peak_float32)},
                     {"peak_bfloat16", to_exact_text(kind.peak_bfloat16)},
                     {"memory", to_exact_text(kind.memory)},
                     {"base_memory", to_exact_text(kind.base_memory)},
                     {"memory_bandwidth", to_exact_text(kind.memory_bandwidth)},
                     {"launch", to_exact_text(kind.launch)},
                     {"idle_power", to_exact_text(kind.idle_power)},
                     {"busy_power", to_exact_text(kind.busy_power)},
                     {"communication_slowdown", kind.communication_slowdown},
                     {"efficiency", std::move(efficiency)},
                     {"is_calibrated", kind.is_calibrated},
                     {"source", kind.source}};
  add_overheads(kind, object);
  if (kind.measured_on)
    object["measured_on"] = {{"device", kind.measured_on->hardware == MeasuredOn::Hardware::Cuda ? "cuda" : "cpu"},
                             {"threads_per_rank", kind.measured_on->threads_per_rank}};
  return object;
}

json::Value to_json(const CollectiveParameters& collective) {
  return {{"launch", to_exact_text(collective.launch)},
          {"step", to_exact_text(collective.step)},
          {"round_overhead", collective.round_overhead},
          {"half_bytes", to_exact_text(collective.half_bytes)},
          {"exponent", collective.exponent},
          {"low_latency_share", collective.low_latency_share},
          {"switch_bytes", to_exact_text(collective.switch_bytes)},
          {"tree_efficiency", collective.tree_efficiency},
          {"source", collective.source}};
}

/// "name": [one item a line]
template <class Parts, class Write>
std::string list(std::string_view name, const Parts& parts, Write write) {
  std::string text = fmt::format("  \"{}\": [", name);
  const char* separator = "\n    ";
  for (const auto& part : parts) {
    text += separator + compact(write(part));
    separator = ",\n    ";
  }
  return text + (parts.empty() ? "]" : "\n  ]");
}

}  // namespace

std::string to_json_text(const Cluster& cluster) {
  const Cluster::Description& description = cluster.description();
  const auto name_of = [&](VertexId id) -> const std::string& {
    const std::size_t devices = description.devices.size();
    return id.index() < devices ? description.devices[id.index()].name
                                : description.switches[id.index() - devices].name;
  };
  const auto device = [&](const Device& part) -> json::Value {
    return {{"name", part.name}, {"kind", cluster.kind(part.kind).name}, {"node", part.node}};
  };
  const auto vertex = [](const Vertex& part) -> json::Value { return {{"name", part.name}, {"node", part.node}}; };
  const auto link = [&](const Link& part) -> json::Value {
    return {{"name", part.name},
            {"from", name_of(part.from)},
            {"to", name_of(part.to)},
            {"bandwidth", to_exact_text(part.bandwidth)},
            {"latency", to_exact_text(part.latency)},
            {"lanes", part.lanes},
            {"fat_pipe", part.is_fat_pipe},
            {"nvlink", part.is_nvlink},
            {"duplex", false}};
  };
  const auto route = [&](const StatedRoute& part) -> json::Value {
    json::Value links = json::Value::array();
    for (const LinkId id : part.links) links.push_back(cluster.link(id).name);
    return {{"from", cluster.device(part.from).name}, {"to", cluster.device(part.to).name}, {"links", links}};
  };
  const auto kind = [](const DeviceKind& part) { return to_json(part); };
  const auto text = [](const std::string& part) { return json::Value(part); };
  return fmt::format(
      "{{\n  \"schema\": \"gabra/cluster/1\",\n  \"name\": {},\n{},\n{},\n{},\n{},\n{},\n  \"collective\": "
      "{},\n{}\n}}\n",
      compact(description.name), list("kinds", description.kinds, kind), list("devices", description.devices, device),
      list("switches", description.switches, vertex), list("links", description.links, link),
      list("routes", description.routes, route), compact(to_json(description.collective)),
      list("sources", description.sources, text));
}

}  // namespace gabra
