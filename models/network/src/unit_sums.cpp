// SPDX-License-Identifier: MIT
#include "units.hpp"

#include <algorithm>
#include <map>
#include <set>

// A view (flatten) or a layer in place shares the memory of its input. Tensors that a unit makes or reads and that
// share memory form a group, called by its first member's layer; a saved group counts once: for the UnitTensor that
// comes in where the first member does, else for the UnitTensor that leaves where a member does, else as the unit's
// own.

namespace gabra {
namespace {

class UnitWalk {
 public:
  UnitWalk(std::span<const Layer> layers, const Unit& unit, const std::vector<bool>& leaves)
      : layers_(layers), first_(unit.first.index()), end_(unit.end.index()), leaves_(leaves) {
    for (std::size_t i = first_; i < end_; ++i) {
      const Layer& layer = layers_[i];
      const bool is_shared = layer.costs.is_in_place || std::holds_alternative<Flatten>(layer.attributes);
      group_.push_back(is_shared ? group(layer.inputs[0].index()) : i);
      if (leaves_[i]) leaver_[group(i)] = i;
      last_use_[group(i)] = i;
      for (const LayerId input : layer.inputs) last_use_[group(input.index())] = i;
      if (layer.costs.saves_output) save(group(i), i);
      if (layer.costs.saves_input)
        for (const LayerId input : layer.inputs) save(group(input.index()), i);
    }
  }

  [[nodiscard]] const std::set<std::size_t>& saved_groups() const { return saved_; }
  /// Layers of the tensors through which a group leaves the unit: the last member that does, or end().
  [[nodiscard]] const std::map<std::size_t, std::size_t>& leavers() const { return leaver_; }
  [[nodiscard]] bool comes_in(std::size_t group) const { return group < first_; }
  [[nodiscard]] bool is_own(std::size_t group) const { return !comes_in(group) && !leaver_.contains(group); }

  /// Own groups that are not saved live from the layer that makes them to the last that reads them.
  [[nodiscard]] std::int64_t forward_peak(OperandCopies copies) const {
    std::int64_t live = 0, peak = 0;
    std::multimap<std::size_t, std::size_t> ends;  // last use -> group
    for (std::size_t i = first_; i < end_; ++i) {
      if (group(i) == i && is_own(i) && !saved_.contains(i)) {
        live += elements(i);
        ends.emplace(last_use_.at(i), i);
      }
      peak = std::max(peak, live + workspace(i, layers_[i].costs.forward_copies, copies));
      for (auto [at, last] = ends.equal_range(i); at != last; ++at) live -= elements(at->second);
    }
    return peak;
  }

  /// The gradient of a tensor lives from the backward of its last reader (or of a later unit, or of the loss) to that
  /// of its maker; the gradients of a group are one.
  [[nodiscard]] std::int64_t backward_peak(OperandCopies copies, const std::vector<bool>& needs_gradient) const {
    std::int64_t live = 0, peak = 0;
    std::set<std::size_t> alive;
    const auto make = [&](std::size_t layer) {
      if (needs_gradient[layer] && alive.insert(group(layer)).second) live += elements(layer);
    };
    for (std::size_t i = end_; i-- > first_;) {
      make(i);
      for (const LayerId input : layers_[i].inputs) make(input.index());
      peak = std::max(peak, live + (needs_gradient[i] ? workspace(i, layers_[i].costs.backward_copies, copies) : 0));
      if (group(i) == i && alive.erase(i) > 0) live -= elements(i);
      for (const auto& [saved, first_saver] : first_saver_)
        if (first_saver == i && !comes_in(saved)) live -= elements(saved);
    }
    return peak;
  }

 private:
  void save(std::size_t group, std::size_t layer) {
    saved_.insert(group);
    first_saver_.try_emplace(group, layer);
  }
  [[nodiscard]] std::size_t group(std::size_t layer) const { return layer < first_ ? layer : group_[layer - first_]; }
  [[nodiscard]] std::int64_t workspace(std::size_t layer, const ByOperandCopies& of_pass, OperandCopies copies) const {
    return layers_[layer].costs.workspace_elements + of_pass[static_cast<std::size_t>(copies)];
  }
  [[nodiscard]] std::int64_t elements(std::size_t layer) const { return layers_[layer].costs.output_elements; }

  std::span<const Layer> layers_;
  std::size_t first_, end_;
  const std::vector<bool>& leaves_;
  std::vector<std::size_t> group_;  // of the layers of the unit
  std::map<std::size_t, std::size_t> leaver_, last_use_, first_saver_;
  std::set<std::size_t> saved_;
};

/// Tensors that cross between units, nothing saved yet, ascending by layer; -1 in `tensor_of` for the other layers.
struct Crossing {
  std::vector<UnitTensor> tensors;
  std::vector<std::ptrdiff_t> tensor_of;
  std::vector<bool> leaves;
};

Crossing find_crossing(std::span<const Layer> layers, std::span<const Unit> units,
                       const std::vector<bool>& needs_gradient) {
  std::vector<UnitId> unit_of(layers.size());  // none for inputs
  for (std::size_t u = 0; u < units.size(); ++u)
    for (std::size_t i = units[u].first.index(); i < units[u].end.index(); ++i) unit_of[i] = UnitId(u);
  std::vector<std::set<UnitId>> consumers(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (const LayerId input : layers[i].inputs)
      if (const UnitId maker = unit_of[input.index()]; maker.is_valid() && maker != unit_of[i])
        consumers[input.index()].insert(unit_of[i]);
  Crossing result{{}, std::vector<std::ptrdiff_t>(layers.size(), -1), std::vector<bool>(layers.size(), false)};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (consumers[i].empty()) continue;
    result.tensor_of[i] = static_cast<std::ptrdiff_t>(result.tensors.size());
    result.leaves[i] = true;
    UnitTensor tensor;
    tensor.layer = LayerId(i);
    tensor.producer = unit_of[i];
    tensor.consumers.assign(consumers[i].begin(), consumers[i].end());
    tensor.elements = layers[i].costs.output_elements;
    tensor.needs_gradient = needs_gradient[i];
    tensor.is_saved_by_consumer.assign(tensor.consumers.size(), false);
    result.tensors.push_back(std::move(tensor));
  }
  return result;
}

UnitCosts sum_layers(std::span<const Layer> layers) {
  UnitCosts sum;
  for (const Layer& layer : layers) {
    sum.forward_flops += layer.costs.forward_flops;
    sum.backward_flops += layer.costs.backward_flops;
    sum.parameters += layer.costs.parameters;
    sum.buffers += layer.costs.buffers;
    sum.saved_elements += layer.costs.saved_internal_elements;
    sum.saved_bytes += layer.costs.saved_internal_bytes;
    sum.forward_copy_elements = std::max(sum.forward_copy_elements, layer.costs.forward_copy_elements);
    sum.backward_copy_elements = std::max(sum.backward_copy_elements, layer.costs.backward_copy_elements);
    sum.widened_copy_elements = std::max(sum.widened_copy_elements, layer.costs.widened_copy_elements);
    sum.has_batch_norm |= std::holds_alternative<BatchNorm>(layer.attributes);
  }
  return sum;
}

}  // namespace

UnitSums sum_units(std::span<const Layer> layers, std::span<const Unit> units,
                   const std::vector<bool>& needs_gradient) {
  Crossing crossing = find_crossing(layers, units, needs_gradient);
  UnitSums result;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const Unit& unit = units[u];
    UnitCosts costs = sum_layers(layers.subspan(unit.first.index(), unit.end.index() - unit.first.index()));
    const UnitWalk walk(layers, unit, crossing.leaves);
    for (const std::size_t group : walk.saved_groups()) {
      if (walk.is_own(group)) {
        costs.saved_elements += layers[group].costs.output_elements;
        continue;
      }
      const std::size_t layer = walk.comes_in(group) ? group : walk.leavers().at(group);
      if (crossing.tensor_of[layer] < 0) continue;  // an input of the network
      UnitTensor& tensor = crossing.tensors[static_cast<std::size_t>(crossing.tensor_of[layer])];
      if (!walk.comes_in(group)) {
        tensor.is_saved_by_producer = true;
        continue;
      }
      const auto at = std::lower_bound(tensor.consumers.begin(), tensor.consumers.end(), UnitId(u));
      tensor.is_saved_by_consumer[static_cast<std::size_t>(at - tensor.consumers.begin())] = true;
    }
    for (std::size_t i = 0; i < kOperandCopies; ++i) {
      const auto copies = static_cast<OperandCopies>(i);
      costs.forward_peak_elements[i] = walk.forward_peak(copies);
      costs.backward_peak_elements[i] = walk.backward_peak(copies, needs_gradient);
    }
    result.costs.push_back(costs);
  }
  result.tensors = std::move(crossing.tensors);
  return result;
}

}  // namespace gabra
