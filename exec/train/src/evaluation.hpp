// SPDX-License-Identifier: MIT
#pragma once

#include "data_set.hpp"
#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "whole_network.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gabra::exec {

/// How good the network is on a part of the data.
struct PartResult {
  data::Measures measures;
  double loss = 0.0;  ///< mean cross entropy, classes not weighted
};

/// Whether `found` is better than the best loss so far. A loss that is no number never is.
[[nodiscard]] bool is_better(const PartResult& found, std::optional<double> best_loss);

/// Probabilities of one scan, by class.
[[nodiscard]] std::vector<double> predict_scan(WholeNetwork& network, const data::VolumeCache& cache,
                                               const std::string& path);

/// What evaluate() is about.
struct EvaluationTask {
  std::string name;  ///< for people: "the validation after step 12"
  std::size_t classes = 2;
  std::function<std::vector<double>(const std::string&)> predict;  ///< probabilities of the scan with this path
};

/// The ranks share the samples; each is evaluated alone, so the result is the same for any number of ranks. They meet
/// after every scan: a rank is waited for no longer than that takes, however many there are. At rank 0; empty
/// elsewhere, and for no samples. Collective.
[[nodiscard]] std::optional<PartResult> evaluate(const std::vector<data::Sample>& samples, const EvaluationTask& task,
                                                 const MpiWorld& world, Monitor& monitor);

}  // namespace gabra::exec
