// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/rng.hpp"
#include "support/toy_problem.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gabra::test {

/// A residual chain of 3 to 8 toy layers with costs of one or two digits, on 1 to 4 devices, batch 8 or 12.
inline Problem random_problem(Rng& rng) {
  std::vector<ToyLayer> layers;
  const std::int64_t count = rng.between(3, 8);
  for (std::int64_t i = 0; i < count; ++i) {
    ToyLayer layer{static_cast<double>(rng.between(1, 20)) * 1e-3,
                   static_cast<double>(rng.between(1, 40)) * 1e-3,
                   4 * rng.between(0, 100000),
                   4 * rng.between(0, 1000000),
                   4 * rng.between(0, 50000),
                   {}};
    if (i >= 2) {
      layer.inputs.push_back(static_cast<int>(i - 1));
      if (rng.chance(0.4)) layer.inputs.push_back(static_cast<int>(rng.between(0, i - 2)));
    }
    layers.push_back(layer);
  }
  const ToyCluster cluster{.devices = static_cast<int>(rng.between(1, 4)),
                           .bandwidth = static_cast<double>(rng.between(1, 100)) * 1e7,
                           .latency_s = static_cast<double>(rng.between(0, 50)) * 1e-6,
                           .launch_s = static_cast<double>(rng.between(0, 10)) * 1e-6};
  return toy_problem(layers, cluster, rng.chance(0.5) ? 8 : 12);
}

/// Any plan without faults: cuts, shared devices, replicas, schedule, recomputation, buckets.
inline Plan random_plan(const Problem& problem, Rng& rng) {
  Plan plan;
  const auto units = static_cast<int>(problem.network->unit_count());
  const auto devices = static_cast<int>(problem.cluster->device_count());
  const std::int64_t batch = problem.training.global_batch;
  do plan.micro_batches = rng.between(1, batch);
  while (batch % plan.micro_batches != 0);
  plan.schedule = static_cast<Schedule>(rng.below(3));
  plan.bucket = Bytes(rng.between(1, 2000000));
  int first = 0;
  while (first < units) {
    const int end = static_cast<int>(rng.between(first + 1, units));
    std::vector<int> all;
    for (int d = 0; d < devices; ++d) all.push_back(d);
    rng.shuffle(std::span<int>(all));
    all.resize(static_cast<std::size_t>(rng.between(1, std::min<std::int64_t>(devices, plan.micro_batches))));
    plan.stages.push_back(stage(first, end, all, static_cast<Recompute>(rng.below(3))));
    first = end;
  }
  return plan;
}

}  // namespace gabra::test
