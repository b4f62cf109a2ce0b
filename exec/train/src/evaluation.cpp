// SPDX-License-Identifier: MIT
#include "evaluation.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace gabra::exec {

std::vector<double> predict_scan(WholeNetwork& network, const data::VolumeCache& cache, const std::string& path) {
  const data::Extent& extent = cache.settings().extent;
  const at::Tensor input = at::empty({1, 1, extent[0], extent[1], extent[2]}, at::kFloat);
  cache.load(path, {input.mutable_data_ptr<float>(), static_cast<std::size_t>(input.numel())});
  const at::Tensor probabilities = network.probabilities({input}).contiguous();
  const auto* values = probabilities.const_data_ptr<double>();
  return {values, values + probabilities.numel()};
}

std::optional<PartResult> evaluate(const std::vector<data::Sample>& samples, std::size_t classes, WholeNetwork& network,
                                   const data::VolumeCache& cache, const MpiWorld& world) {
  if (samples.empty()) return std::nullopt;
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<double> own;
  for (auto i = static_cast<std::size_t>(world.rank()); i < samples.size(); i += size) {
    const std::vector<double> found = predict_scan(network, cache, samples[i].path);
    own.insert(own.end(), found.begin(), found.end());
  }
  std::string bytes(own.size() * sizeof(double), '\0');
  if (!own.empty()) std::memcpy(bytes.data(), own.data(), bytes.size());
  const std::vector<std::string> all = world.gather(bytes);
  if (world.rank() != 0) return std::nullopt;
  std::vector<double> probabilities(samples.size() * classes);
  std::vector<std::int64_t> labels(samples.size());
  PartResult result;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::memcpy(&probabilities[i * classes], all[i % size].data() + i / size * classes * sizeof(double),
                classes * sizeof(double));
    labels[i] = samples[i].label;
    const double right = probabilities[i * classes + static_cast<std::size_t>(labels[i])];
    result.loss -= std::log(std::max(right, std::numeric_limits<double>::min())) / static_cast<double>(samples.size());
  }
  result.measures = data::measure(labels, probabilities, classes);
  return result;
}

}  // namespace gabra::exec
