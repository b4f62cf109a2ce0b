// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace gabra {

/// Faults of one layer: knows how to name the place of one of its fields.
class LayerFaults {
 public:
  using Where = std::function<std::string(std::string_view field)>;

  LayerFaults(FaultList& faults, Where where) : faults_(faults), where_(std::move(where)) {}

  void add(std::string_view field, std::string seen, std::string allowed) {
    faults_.add(where_(field), std::move(seen), std::move(allowed));
    is_clean_ = false;
  }
  /// No fault was added through this object.
  [[nodiscard]] bool is_clean() const { return is_clean_; }

 private:
  FaultList& faults_;
  Where where_;
  bool is_clean_ = true;
};

}  // namespace gabra
