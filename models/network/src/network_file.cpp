// SPDX-License-Identifier: MIT
#include "gabra/network/network_file.hpp"

#include "attribute_fields.hpp"
#include "builder.hpp"
#include "gabra/json/reader.hpp"
#include "kinds.hpp"

#include <fmt/format.h>

#include <utility>

namespace gabra {
namespace {

using json::ObjectReader;
using json::Place;
using json::Value;

/// Reads the attributes of a layer; their ranges are checked when the network is built.
struct ReadFields {
  ObjectReader& object;

  void operator()(std::string_view name, std::int64_t& value) { value = object.integer(name); }
  void operator()(std::string_view name, std::vector<std::int64_t>& values) { values = object.integers(name); }
  void operator()(std::string_view name, Seconds& value) { value = object.seconds(name); }

  void optional(std::string_view name, bool& value) { value = object.boolean_or(name, value); }
  void optional(std::string_view name, std::int64_t& value) { value = object.integer_or(name, value); }
  void optional(std::string_view name, double& value) { value = object.number_or(name, value); }
  void optional(std::string_view name, std::string& value) { value = object.text_or(name, value); }
  void optional(std::string_view name, std::vector<std::int64_t>& values) {
    if (object.has(name)) values = object.integers(name);
  }
};

struct WriteFields {
  Value& object;

  template <class T>
  void operator()(std::string_view name, const T& value) {
    object[std::string(name)] = value;
  }
  void operator()(std::string_view name, Seconds value) { object[std::string(name)] = to_exact_text(value); }
  template <class T>
  void optional(std::string_view name, const T& value) {
    object[std::string(name)] = value;
  }
};

void read_layer(const Value& value, const Place& place, FaultList& faults, NetworkDraft& draft) {
  const std::size_t faults_before = faults.size();
  ObjectReader object(value, place, faults);
  LayerSpec layer;
  layer.name = object.text("name");
  const std::size_t before_kind = faults.size();
  const std::size_t kind = object.choice("kind", kind_names());
  const bool is_known = faults.size() == before_kind && object.is_object();
  if (object.has("inputs")) layer.inputs = object.texts("inputs");
  layer.attributes = make_kind(kind);
  if (is_known) {
    ReadFields fields{object};
    std::visit([&](auto& a) { visit_fields(a, fields); }, layer.attributes);
  }
  draft.is_broken.push_back(faults.size() != faults_before);
  if (is_known) object.finish();
  draft.layers.push_back(std::move(layer));
}

std::string dumped(const Value& value) {
  return value.dump(-1, ' ', false, nlohmann::detail::error_handler_t::replace);
}

Value layer_value(const Network& network, const Layer& layer) {
  Value value = Value::object();
  value["name"] = layer.name;
  value["kind"] = kind_name(layer.attributes);
  if (!layer.inputs.empty()) {
    Value& inputs = value["inputs"] = Value::array();
    for (const LayerId input : layer.inputs) inputs.push_back(network.layer(input).name);
  }
  WriteFields fields{value};
  std::visit([&](const auto& a) { visit_fields(a, fields); }, layer.attributes);
  return value;
}

}  // namespace

Network parse_network(std::string_view json_text, const std::string& name) {
  FaultList faults;
  const Value root = json::parse(json_text, name, faults);
  if (root.is_null() && !faults.empty()) faults.throw_if_any();  // a syntax error
  NetworkDraft draft;
  ObjectReader object(root, Place(name), faults);
  check_schema(object, "network");
  draft.name = object.text("name");
  const std::size_t before_layers = faults.size();
  object.list("layers", [&](const Value& value, const Place& place) { read_layer(value, place, faults, draft); });
  if (object.has("unit_ends")) draft.unit_ends = object.texts("unit_ends");
  object.finish();
  if (draft.layers.empty() && faults.size() != before_layers) faults.throw_if_any();  // the list itself is at fault
  draft.place = object.place_of("layers").text();
  draft.layer_place = [&](std::size_t layer, std::string_view field) {
    return fmt::format("{}{}{}", object.place_of("layers").item(layer).text(), field.empty() ? "" : ".", field);
  };
  draft.unit_place = [&](std::size_t unit) { return object.place_of("unit_ends").item(unit).text(); };
  return NetworkBuilder(std::move(draft), faults).build();
}

std::string to_json_text(const Network& network) {
  std::string text =
      fmt::format("{{\n  \"schema\": \"gabra/network/1\",\n  \"name\": {},\n  \"layers\": [", dumped(network.name()));
  std::string_view separator = "\n    ";
  for (const Layer& layer : network.layers()) {
    text += fmt::format("{}{}", separator, dumped(layer_value(network, layer)));
    separator = ",\n    ";
  }
  text += "\n  ],\n  \"unit_ends\": [";
  separator = "\n    ";
  for (const Unit& unit : network.units()) {
    text += fmt::format("{}{}", separator, dumped(network.layer(LayerId(unit.end.index() - 1)).name));
    separator = ",\n    ";
  }
  return text + "\n  ]\n}\n";
}

}  // namespace gabra
