// SPDX-License-Identifier: MIT
#include "units.hpp"

#include "is_any_of.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

// The coarsening rule (our own). Let c(i) be the number of distinct tensors, inputs of the network and empty tensors
// left out, that are made by layer i or earlier and read later. A unit may end after layer i, in topological order, if
//  (a) the next layer is not trivially fused: an elementwise layer, batch norm, softmax, flatten, or a max or average
//      pool that reads layer i alone and is its only reader (an opaque layer counts if it has no parameters or is
//      described as a batch norm, and whatever else reads layer i if it takes no time);
//  (b) i is not in the middle of a short skip: there are no a < i < b with c(a) < c(i), c(b) < c(i), b - a <= 16;
//  (c) the unit has an anchor: a layer with a product, an embedding or an opaque layer. Layers without one (pools,
//      upsampling, concatenation, layer norm) go with what follows, and at the very end with what precedes.

namespace gabra {
namespace {

constexpr std::ptrdiff_t kShortSkip = 16;

bool is_input(const Layer& layer) { return std::holds_alternative<Input>(layer.attributes); }

std::size_t first_layer(std::span<const Layer> layers) {
  std::size_t first = 0;
  while (first < layers.size() && is_input(layers[first])) ++first;
  return first;
}

bool is_fusible(const LayerAttributes& attributes) {
  if (const auto* opaque = std::get_if<Opaque>(&attributes))
    return opaque->parameter_bytes == 0 || opaque->description.starts_with("BatchNorm");
  return is_any_of<BatchNorm, Relu, Gelu, MaxPool, AveragePool, Flatten, Dropout, Softmax>(attributes);
}

bool takes_no_time(const LayerAttributes& attributes) {
  const auto* opaque = std::get_if<Opaque>(&attributes);
  return opaque != nullptr && opaque->forward == Seconds(0.0) && opaque->backward == Seconds(0.0);
}

bool is_anchor(const LayerAttributes& attributes) {
  return is_any_of<Convolution, TransposedConvolution, Linear, PositionAttention, CausalAttention, Embedding, Opaque>(
      attributes);
}

struct Reading {
  std::vector<std::size_t> last_reader;   // its own index where nothing reads it
  std::vector<std::size_t> reader_count;  // distinct layers
};

Reading reading_of(std::span<const Layer> layers) {
  Reading result{std::vector<std::size_t>(layers.size()), std::vector<std::size_t>(layers.size(), 0)};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    result.last_reader[i] = i;
    for (const LayerId input : std::set<LayerId>(layers[i].inputs.begin(), layers[i].inputs.end())) {
      result.last_reader[input.index()] = i;
      ++result.reader_count[input.index()];
    }
  }
  return result;
}

/// c(i) for every layer.
std::vector<std::int64_t> crossings(std::span<const Layer> layers, const Reading& reading) {
  std::vector<std::int64_t> change(layers.size() + 1, 0);
  for (std::size_t i = first_layer(layers); i < layers.size(); ++i) {
    if (layers[i].costs.output_elements == 0 || reading.last_reader[i] == i) continue;
    ++change[i];
    --change[reading.last_reader[i]];
  }
  std::vector<std::int64_t> count(layers.size());
  std::int64_t crossing = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) count[i] = crossing += change[i];
  return count;
}

/// Rule (b): both neighbours below c(i), found within the length of a short skip.
bool is_inside_short_skip(const std::vector<std::int64_t>& count, std::ptrdiff_t first, std::ptrdiff_t i) {
  const auto at = [&](std::ptrdiff_t k) { return count[static_cast<std::size_t>(k)]; };
  const std::ptrdiff_t last = static_cast<std::ptrdiff_t>(count.size()) - 1;  // behind it nothing crosses: c = 0
  std::ptrdiff_t before = i - 1, after = i + 1;
  while (before >= first && at(before) >= at(i) && i - before < kShortSkip) --before;
  while (after <= last && at(after) >= at(i) && after - i < kShortSkip) ++after;
  return before >= first && after <= last && at(before) < at(i) && at(after) < at(i) && after - before <= kShortSkip;
}

}  // namespace

std::vector<LayerId> coarsen(std::span<const Layer> layers) {
  const std::size_t first = first_layer(layers);
  const Reading reading = reading_of(layers);
  const std::vector<std::int64_t> count = crossings(layers, reading);
  std::vector<LayerId> ends;
  bool has_anchor = false;
  for (std::size_t i = first; i < layers.size(); ++i) {
    has_anchor |= is_anchor(layers[i].attributes);
    if (i + 1 == layers.size()) {
      if (!has_anchor && !ends.empty()) ends.pop_back();
      ends.emplace_back(i);
      break;
    }
    const Layer& next = layers[i + 1];
    const bool is_fused = is_fusible(next.attributes) && next.inputs.size() == 1 && next.inputs[0] == LayerId(i) &&
                          (reading.reader_count[i] == 1 || takes_no_time(next.attributes));
    if (is_fused || !has_anchor ||
        is_inside_short_skip(count, static_cast<std::ptrdiff_t>(first), static_cast<std::ptrdiff_t>(i)))
      continue;
    ends.emplace_back(i);
    has_anchor = false;
  }
  return ends;
}

namespace {

/// What the names of a unit's layers have in common, in whole parts between dots; else the name of its first anchor.
std::string common_name(std::span<const Layer> layers) {
  std::string_view common = layers.front().name;
  for (const Layer& layer : layers.subspan(1)) {
    const std::string_view name = layer.name;
    const auto is_within = [&] {
      return name.starts_with(common) && (name.size() == common.size() || name[common.size()] == '.');
    };
    while (!common.empty() && !is_within()) {
      const std::size_t dot = common.rfind('.');
      common = dot == std::string_view::npos ? std::string_view{} : common.substr(0, dot);
    }
  }
  return std::string(common);
}

std::string anchor_name(std::span<const Layer> layers) {
  const auto found =
      std::find_if(layers.begin(), layers.end(), [](const Layer& layer) { return is_anchor(layer.attributes); });
  return found == layers.end() ? layers.front().name : found->name;
}

}  // namespace

std::vector<Unit> make_units(std::span<const Layer> layers, std::span<const LayerId> ends) {
  std::vector<Unit> units;
  std::map<std::string, int> uses;
  LayerId first(first_layer(layers));
  for (const LayerId last : ends) {
    const LayerId end(last.index() + 1);
    units.push_back({common_name(layers.subspan(first.index(), end.index() - first.index())), first, end});
    ++uses[units.back().name];
    first = end;
  }
  std::set<std::string> taken;
  for (Unit& unit : units) {
    if (unit.name.empty() || uses[unit.name] > 1)
      unit.name = anchor_name(layers.subspan(unit.first.index(), unit.end.index() - unit.first.index()));
    // A layer may be called like the common part of others' names.
    while (!taken.insert(unit.name).second) unit.name += "'";
  }
  return units;
}

void mark_in_place(std::span<Layer> layers, std::span<const Unit> units) {
  const Reading reading = reading_of(layers);
  for (const Unit& unit : units)
    for (std::size_t i = unit.first.index(); i < unit.end.index(); ++i) {
      if (!std::holds_alternative<Relu>(layers[i].attributes)) continue;
      const LayerId input = layers[i].inputs[0];
      const Layer& maker = layers[input.index()];
      layers[i].costs.is_in_place = input >= unit.first && reading.reader_count[input.index()] == 1 &&
                                    !maker.costs.saves_output && !is_any_of<Flatten, Opaque>(maker.attributes);
    }
}

}  // namespace gabra
