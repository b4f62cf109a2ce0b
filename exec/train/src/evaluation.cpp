// SPDX-License-Identifier: MIT
#include "evaluation.hpp"

#include "gabra/core/check.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace gabra::exec {
namespace {

void append_numbers(std::vector<double>& numbers, const std::string& bytes) {
  const std::size_t before = numbers.size();
  numbers.resize(before + bytes.size() / sizeof(double));
  if (!bytes.empty()) std::memcpy(&numbers[before], bytes.data(), bytes.size());
}

/// By sample, then class, at rank 0; empty elsewhere.
std::vector<double> gather_probabilities(const std::vector<data::Sample>& samples, const EvaluationTask& task,
                                         const MpiWorld& world, Monitor& monitor) {
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<double> all;
  for (std::size_t first = 0; first < samples.size(); first += size) {
    const std::size_t own = first + static_cast<std::size_t>(world.rank());
    std::vector<double> found;
    if (own < samples.size()) found = task.predict(samples[own].path);
    std::string bytes(found.size() * sizeof(double), '\0');
    if (!found.empty()) std::memcpy(bytes.data(), found.data(), bytes.size());
    const Monitor::Waiting waiting(monitor,
                                   fmt::format("scans {} to {} of {} in {} on all ranks", first + 1,
                                               std::min(first + size, samples.size()), samples.size(), task.name));
    world.barrier();  // else a quick rank would wait for all scans of a slow one at the end
    for (const std::string& part : world.gather(bytes)) append_numbers(all, part);
  }
  return all;
}

}  // namespace

bool is_better(const PartResult& found, std::optional<double> best_loss) {
  return std::isfinite(found.loss) && (!best_loss || found.loss < *best_loss);
}

std::vector<double> predict_scan(WholeNetwork& network, const data::VolumeCache& cache, const std::string& path) {
  const data::Extent& extent = cache.settings().extent;
  const at::Tensor input = at::empty({1, 1, extent[0], extent[1], extent[2]}, at::kFloat);
  cache.load(path, {input.mutable_data_ptr<float>(), static_cast<std::size_t>(input.numel())});
  const at::Tensor probabilities = network.probabilities({input}).contiguous();
  const auto* values = probabilities.const_data_ptr<double>();
  return {values, values + probabilities.numel()};
}

std::optional<PartResult> evaluate(const std::vector<data::Sample>& samples, const EvaluationTask& task,
                                   const MpiWorld& world, Monitor& monitor) {
  if (samples.empty()) return std::nullopt;
  const std::vector<double> probabilities = gather_probabilities(samples, task, world, monitor);
  if (world.rank() != 0) return std::nullopt;
  GABRA_CHECK(probabilities.size() == samples.size() * task.classes, "one probability per scan and class");
  std::vector<std::int64_t> labels(samples.size());
  PartResult result;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    labels[i] = samples[i].label;
    const double right = probabilities[i * task.classes + static_cast<std::size_t>(labels[i])];
    result.loss -= std::log(std::max(right, std::numeric_limits<double>::min())) / static_cast<double>(samples.size());
  }
  result.measures = data::measure(labels, probabilities, task.classes);
  return result;
}

}  // namespace gabra::exec
