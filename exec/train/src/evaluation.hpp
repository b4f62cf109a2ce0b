// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "whole_network.hpp"

#include <optional>
#include <vector>

namespace gabra::exec {

/// How good the network is on a part of the data.
struct PartResult {
  data::Measures measures;
  double loss = 0.0;  ///< mean cross entropy, classes not weighted
};

/// Probabilities of one scan, by class.
[[nodiscard]] std::vector<double> predict_scan(WholeNetwork& network, const data::VolumeCache& cache,
                                               const std::string& path);

/// The ranks share the samples; each is evaluated alone, so the result is the same for any number of ranks. At rank 0;
/// empty elsewhere, and for no samples. Collective.
[[nodiscard]] std::optional<PartResult> evaluate(const std::vector<data::Sample>& samples, std::size_t classes,
                                                 WholeNetwork& network, const data::VolumeCache& cache,
                                                 const MpiWorld& world);

}  // namespace gabra::exec
