// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/network/layer.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gabra {

/// A layer before shapes and costs are derived. `inputs` are names of other layers, in any order of declaration.
struct LayerSpec {
  std::string name;
  LayerAttributes attributes;
  std::vector<std::string> inputs;
};

/// The smallest thing a plan may cut between: layers [first, end) in topological order.
struct Unit {
  std::string name;
  LayerId first;
  LayerId end;
};

/// A tensor that leaves its unit: made by unit `producer`, read by the units `consumers` (ascending, all later). It is
/// memory of its own, whatever views or in-place layers the unit that made it has.
struct UnitTensor {
  LayerId layer;  ///< whose output it is
  UnitId producer;
  std::vector<UnitId> consumers;
  std::int64_t elements = 0;               ///< per sample
  bool is_saved_by_producer = false;       ///< the producing unit keeps it for its backward
  bool needs_gradient = true;              ///< false for the input itself
  std::vector<bool> is_saved_by_consumer;  ///< parallel to `consumers`
};

/// Sums over the layers of a unit, per sample (see LayerCosts). Times are left out: they depend on the device.
struct UnitCosts {
  Flops forward_flops, backward_flops;
  std::int64_t parameters = 0;
  std::int64_t buffers = 0;
  /// Tensors made and saved inside the unit, what its layers save internally included, boundary tensors left out.
  std::int64_t saved_elements = 0;
  std::int64_t saved_bytes = 0;  ///< the same, of fixed size
  /// Largest transient need while the unit computes: in a forward, workspace and tensors that are not saved; in a
  /// backward, workspace and gradients, those of the unit's inputs and outputs included, less what the unit saved and
  /// has freed by then. By OperandCopies.
  ByOperandCopies forward_peak_elements{}, backward_peak_elements{};
  std::int64_t forward_copy_elements = 0;  ///< of the layer with the most
  std::int64_t backward_copy_elements = 0;
  std::int64_t widened_copy_elements = 0;  ///< of a backward
  bool has_batch_norm = false;
};

/// A checked DAG of layers in topological order with shapes and costs, and its units. Immutable.
///
/// Input layers are fed by Load on the devices of every stage that reads them; they belong to no unit, so
/// units cover the layers after them. A tensor of an Input layer has no producer unit and no UnitTensor.
class Network {
 public:
  /// Orders the layers topologically (stable with regard to declaration), derives shapes and costs, and coarsens into
  /// units. `unit_ends`, if given, names the last layer of each unit instead of the coarsening rule. Throws InputError
  /// with every fault (`place` names the source: a file, or the zoo's text): duplicate or dangling names, cycle, no
  /// layer, shape mismatch, overflow, units that do not cover the layers, several outputs.
  static Network build(std::string name, std::vector<LayerSpec> layers, const std::string& place,
                       const std::optional<std::vector<std::string>>& unit_ends = std::nullopt);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const Layer> layers() const { return layers_; }
  [[nodiscard]] const Layer& layer(LayerId id) const { return layers_[id.index()]; }
  [[nodiscard]] std::span<const Unit> units() const { return units_; }
  [[nodiscard]] std::size_t unit_count() const { return units_.size(); }
  [[nodiscard]] std::span<const UnitCosts> unit_costs() const { return unit_costs_; }
  [[nodiscard]] std::span<const UnitTensor> unit_tensors() const { return unit_tensors_; }
  [[nodiscard]] std::int64_t input_elements() const { return input_elements_; }  ///< of all Input layers, per sample
  [[nodiscard]] std::int64_t parameters() const { return parameters_; }
  [[nodiscard]] bool has_opaque_layers() const { return has_opaque_layers_; }
  /// Hash of everything that decides shapes, costs and units; equal networks have equal fingerprints.
  [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  friend class NetworkBuilder;
  Network() = default;

  std::string name_;
  std::vector<Layer> layers_;
  std::vector<Unit> units_;
  std::vector<UnitCosts> unit_costs_;
  std::vector<UnitTensor> unit_tensors_;
  std::int64_t input_elements_ = 0;
  std::int64_t parameters_ = 0;
  bool has_opaque_layers_ = false;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace gabra
