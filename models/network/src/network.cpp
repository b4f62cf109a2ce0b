// SPDX-License-Identifier: MIT
#include "gabra/network/network.hpp"

#include "builder.hpp"
#include "costs.hpp"
#include "fingerprint.hpp"
#include "limits.hpp"
#include "shapes.hpp"
#include "units.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <queue>
#include <set>
#include <utility>

namespace gabra {

Network Network::build(std::string name, std::vector<LayerSpec> layers, const std::string& place,
                       const std::optional<std::vector<std::string>>& unit_ends) {
  FaultList faults;
  NetworkDraft draft;
  draft.name = std::move(name);
  draft.is_broken.assign(layers.size(), false);
  std::vector<std::string> names;
  for (const LayerSpec& layer : layers) names.push_back(layer.name);
  draft.layer_place = [place, names = std::move(names)](std::size_t layer, std::string_view field) {
    return fmt::format("{}: layer {}{}{}", place, in_quotes(names[layer]), field.empty() ? "" : ", ", field);
  };
  draft.unit_place = [place](std::size_t unit) { return fmt::format("{}: end of unit {}", place, unit); };
  draft.layers = std::move(layers);
  draft.unit_ends = unit_ends;
  draft.place = place;
  return NetworkBuilder(std::move(draft), faults).build();
}

Network NetworkBuilder::build() {
  if (draft_.layers.empty()) faults_.add(draft_.place, "no layer", "at least one layer");
  if (draft_.layers.size() > kMostLayers) {
    faults_.add(draft_.place, fmt::format("{} layers", draft_.layers.size()), fmt::format("at most {}", kMostLayers));
    faults_.throw_if_any();
  }
  index_names();
  resolve_inputs();
  sort();
  check_outputs();
  check_tokens();
  derive();
  check_totals();
  const std::vector<LayerId> ends = explicit_ends();
  faults_.throw_if_any();

  Network network;
  network.name_ = std::move(draft_.name);
  std::vector<bool> needs_gradient;
  for (const std::size_t declared : order_) {
    network.layers_.push_back(std::move(*derived_[declared]));
    needs_gradient.push_back(needs_gradient_[declared]);
  }
  for (const Layer& layer : network.layers_) {
    network.parameters_ += layer.costs.parameters;
    if (std::holds_alternative<Input>(layer.attributes)) network.input_elements_ += layer.costs.output_elements;
    network.has_opaque_layers_ |= std::holds_alternative<Opaque>(layer.attributes);
  }
  network.units_ = make_units(network.layers_, draft_.unit_ends ? ends : coarsen(network.layers_));
  mark_in_place(network.layers_, network.units_);
  UnitSums sums = sum_units(network.layers_, network.units_, needs_gradient);
  network.unit_costs_ = std::move(sums.costs);
  network.unit_tensors_ = std::move(sums.tensors);
  network.fingerprint_ = network_fingerprint(network);
  return network;
}

LayerFaults NetworkBuilder::faults_of(std::size_t declared) {
  return {faults_, [this, declared](std::string_view field) { return draft_.layer_place(declared, field); }};
}

void NetworkBuilder::index_names() {
  for (std::size_t i = 0; i < draft_.layers.size(); ++i) {
    const std::string& name = draft_.layers[i].name;
    if (name.empty()) {
      if (!draft_.is_broken[i]) faults_of(i).add("name", "an empty name", "a name");
    } else if (!declared_.emplace(name, i).second) {
      faults_of(i).add("name", "the name " + in_quotes(name) + " again", "a name that no other layer has");
    }
  }
}

void NetworkBuilder::resolve_inputs() {
  constexpr std::size_t kMostToSuggestFrom = 1000;  // a suggestion compares with every name
  std::vector<std::string> names;
  if (draft_.layers.size() <= kMostToSuggestFrom)
    for (const LayerSpec& layer : draft_.layers) names.push_back(layer.name);
  inputs_.resize(draft_.layers.size());
  readers_.resize(draft_.layers.size());
  for (std::size_t i = 0; i < draft_.layers.size(); ++i) {
    const std::vector<std::string>& inputs = draft_.layers[i].inputs;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const auto found = declared_.find(inputs[k]);
      if (found == declared_.end()) {
        faults_of(i).add(fmt::format("inputs[{}]", k),
                         "the unknown layer " + in_quotes(inputs[k]) + did_you_mean(inputs[k], names),
                         "the name of a layer of this network");
        draft_.is_broken[i] = true;
        continue;
      }
      inputs_[i].push_back(found->second);
      std::vector<std::size_t>& readers = readers_[found->second];
      if (readers.empty() || readers.back() != i) readers.push_back(i);
    }
  }
}

/// Kahn's algorithm; of the layers that are ready, inputs first, then the one declared first.
void NetworkBuilder::sort() {
  using Key = std::pair<bool, std::size_t>;
  std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
  const auto key = [&](std::size_t i) { return Key{!std::holds_alternative<Input>(draft_.layers[i].attributes), i}; };
  std::vector<std::size_t> missing(draft_.layers.size());
  for (std::size_t i = 0; i < missing.size(); ++i) {
    missing[i] = std::set<std::size_t>(inputs_[i].begin(), inputs_[i].end()).size();
    if (missing[i] == 0) ready.push(key(i));
  }
  id_.resize(missing.size());
  while (!ready.empty()) {
    const std::size_t next = ready.top().second;
    ready.pop();
    id_[next] = LayerId(order_.size());
    order_.push_back(next);
    for (const std::size_t reader : readers_[next])
      if (--missing[reader] == 0) ready.push(key(reader));
  }
  for (std::size_t i = 0; i < missing.size() && order_.size() < missing.size(); ++i)
    if (missing[i] > 0) {
      // Walking back along unordered inputs comes to a layer for the second time: that one is on a cycle.
      const auto back = [&](std::size_t at) {
        return *std::find_if(inputs_[at].begin(), inputs_[at].end(), [&](std::size_t k) { return missing[k] > 0; });
      };
      std::size_t start = i;
      for (std::vector<bool> seen(missing.size(), false); !seen[start]; start = back(start)) seen[start] = true;
      std::vector<std::string> cycle{in_quotes(draft_.layers[start].name)};
      for (std::size_t at = back(start); at != start; at = back(at)) cycle.push_back(in_quotes(draft_.layers[at].name));
      if (cycle.size() > 8) cycle.erase(cycle.begin() + 8, cycle.end());
      faults_of(start).add("inputs", fmt::format("a cycle through {}", fmt::join(cycle, ", ")), "no cycle");
      break;
    }
}

void NetworkBuilder::check_outputs() {
  std::vector<std::string> outputs;
  bool has_work = false;
  for (std::size_t i = 0; i < draft_.layers.size(); ++i) {
    if (readers_[i].empty()) outputs.push_back(in_quotes(draft_.layers[i].name));
    has_work |= draft_.is_broken[i] || !std::holds_alternative<Input>(draft_.layers[i].attributes);
  }
  if (!draft_.layers.empty() && !has_work) faults_.add(draft_.place, "input layers only", "at least one other layer");
  // A name that nothing refers to may be due to a fault that was reported already.
  if (outputs.size() < 2 || !faults_.empty()) return;
  const std::size_t count = outputs.size();
  if (outputs.size() > 8) outputs.erase(outputs.begin() + 8, outputs.end());
  faults_.add(draft_.place, fmt::format("{} layers that no other reads: {}", count, fmt::join(outputs, ", ")),
              "exactly one output");
}

void NetworkBuilder::check_tokens() {
  for (std::size_t i = 0; i < draft_.layers.size(); ++i) {
    if (draft_.is_broken[i] || std::holds_alternative<Opaque>(draft_.layers[i].attributes)) continue;
    const bool wants_tokens = std::holds_alternative<Embedding>(draft_.layers[i].attributes);
    for (const std::size_t input : inputs_[i]) {
      const auto* source = std::get_if<Input>(&draft_.layers[input].attributes);
      if (draft_.is_broken[input] || (source != nullptr && source->is_token_ids) == wants_tokens) continue;
      faults_of(i).add("inputs", wants_tokens ? "an input that is no token ids" : "token ids",
                       wants_tokens ? "an input layer of token ids" : "token ids read by embeddings only");
    }
  }
}

void NetworkBuilder::derive() {
  derived_.resize(draft_.layers.size());
  needs_gradient_.resize(draft_.layers.size(), false);
  for (const std::size_t declared : order_) derive_layer(declared);
  for (std::size_t i = 0; i < derived_.size(); ++i)
    if (derived_[i] && needs_gradient_[i] && readers_[i].size() > 1)
      add_gradient_accumulation(derived_[i]->costs, readers_[i].size());
}

void NetworkBuilder::derive_layer(std::size_t declared) {
  LayerSpec& spec = draft_.layers[declared];
  Layer layer{spec.name, spec.attributes, {}, {}, {}};
  std::vector<Shape> shapes;
  bool input_needs_gradient = false;
  for (const std::size_t input : inputs_[declared]) {
    if (!derived_[input]) return;  // its faults are reported
    layer.inputs.push_back(id_[input]);
    shapes.push_back(derived_[input]->output);
    input_needs_gradient |= needs_gradient_[input];
  }
  if (draft_.is_broken[declared]) return;
  LayerFaults faults = faults_of(declared);
  std::optional<Shape> output = derive_shape(layer.attributes, shapes, faults);
  if (!output) return;
  layer.output = std::move(*output);
  std::optional<LayerCosts> costs =
      derive_costs(layer.attributes, {shapes, layer.output, input_needs_gradient}, faults);
  if (!costs) return;
  layer.costs = *costs;
  needs_gradient_[declared] = input_needs_gradient || has_parameters(layer.attributes);
  derived_[declared] = std::move(layer);
}

void NetworkBuilder::check_totals() {
  std::int64_t elements = 0, parameters = 0;
  for (const std::optional<Layer>& layer : derived_) {
    if (!layer) continue;
    const LayerCosts& costs = layer->costs;
    elements += costs.output_elements + costs.saved_internal_elements + costs.saved_internal_bytes;
    parameters += costs.parameters + costs.buffers;
  }
  for (const auto& [count, what] : {std::pair{elements, "activations"}, std::pair{parameters, "parameters"}})
    if (count > kMostTotalElements)
      faults_.add(draft_.place, fmt::format("{} {}", count, what), fmt::format("at most {}", kMostTotalElements));
}

std::vector<LayerId> NetworkBuilder::explicit_ends() {
  std::vector<LayerId> ends;
  if (!draft_.unit_ends) return ends;
  for (std::size_t unit = 0; unit < draft_.unit_ends->size(); ++unit) {
    const std::string& name = (*draft_.unit_ends)[unit];
    const auto found = declared_.find(name);
    if (found == declared_.end()) {
      faults_.add(draft_.unit_place(unit), "the unknown layer " + in_quotes(name), "the name of a layer");
      continue;
    }
    const LayerId end = id_[found->second];
    if (!end.is_valid()) continue;  // in or behind a cycle
    if (std::holds_alternative<Input>(draft_.layers[found->second].attributes))
      faults_.add(draft_.unit_place(unit), "the input layer " + in_quotes(name), "a layer that is no input");
    else if (!ends.empty() && end <= ends.back())
      faults_.add(draft_.unit_place(unit), "the layer " + in_quotes(name),
                  "a layer after the last one of the unit before, in topological order");
    else
      ends.push_back(end);
  }
  if (faults_.empty() && (ends.empty() || ends.back().index() + 1 != order_.size()))
    faults_.add(
        draft_.unit_place(draft_.unit_ends->size()), "units that end before the last layer",
        "units that cover every layer, the last one ending with " + in_quotes(draft_.layers[order_.back()].name));
  return ends;
}

}  // namespace gabra
