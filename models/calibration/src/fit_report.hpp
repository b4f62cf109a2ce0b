// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/machine.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace gabra::detail {

/// What fits have to say to people.
struct FitReport {
  std::vector<ModelQuality> models;
  std::vector<std::string> notes, warnings;

  void add(ModelQuality model) {
    if (is_poor(model.quality, model.poor_above))
      warnings.push_back(fmt::format("the fit of {} is poor: {}", model.model, to_text(model.quality)));
    models.push_back(std::move(model));
  }
};

}  // namespace gabra::detail
