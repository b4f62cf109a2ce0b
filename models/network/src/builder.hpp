// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/network/network.hpp"
#include "layer_faults.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// What Network::build() is made from, with the places that messages name.
struct NetworkDraft {
  std::string name;
  std::vector<LayerSpec> layers;
  /// Parallel to `layers`: has faults that were reported already, so its attributes are not looked at.
  std::vector<bool> is_broken;
  std::optional<std::vector<std::string>> unit_ends;
  std::string place;  ///< of the list of layers
  std::function<std::string(std::size_t layer, std::string_view field)> layer_place;
  std::function<std::string(std::size_t unit)> unit_place;
};

/// Checks a draft and builds the network, in the steps that build() lists.
class NetworkBuilder {
 public:
  NetworkBuilder(NetworkDraft draft, FaultList& faults) : draft_(std::move(draft)), faults_(faults) {}

  /// Throws InputError with all of `faults`, older ones included, when there is any.
  [[nodiscard]] Network build();

 private:
  void index_names();
  void resolve_inputs();
  void sort();
  void check_outputs();
  void check_tokens();
  void derive();
  void derive_layer(std::size_t declared);
  void check_totals();
  [[nodiscard]] std::vector<LayerId> explicit_ends();
  [[nodiscard]] LayerFaults faults_of(std::size_t declared);

  NetworkDraft draft_;
  FaultList& faults_;
  std::map<std::string, std::size_t, std::less<>> declared_;  // name -> position in the draft
  std::vector<std::vector<std::size_t>> inputs_;              // by position in the draft
  std::vector<std::vector<std::size_t>> readers_;             // likewise, each reader once
  std::vector<std::size_t> order_;                            // topological: positions in the draft
  std::vector<std::optional<Layer>> derived_;                 // by position in the draft
  std::vector<bool> needs_gradient_;                          // of the output, by position in the draft
  std::vector<LayerId> id_;                                   // by position in the draft
};

}  // namespace gabra
