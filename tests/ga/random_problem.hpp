// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/rng.hpp"
#include "gabra/plan/plan.hpp"
#include "plan_space.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gabra::test {

struct RandomProblem {
  int units = 4;
  int devices = 3;
  std::int64_t global_batch = 4;
  bool is_residual = false;  ///< every other unit ends with the sum of its output and an earlier one
  bool is_unequal = false;   ///< devices of two speeds, links of different bandwidth
  std::int64_t memory = std::int64_t{1} << 40;
};

/// A chain of linear layers of random widths, or of one width with skips between them; one unit per layer (and sum).
inline std::shared_ptr<const Network> random_network(const RandomProblem& random, Rng& rng) {
  const auto width = [&] { return std::int64_t{64} << rng.below(4); };
  const std::int64_t constant = width();
  std::vector<LayerSpec> specs{{"input", Input{.shape = {random.is_residual ? constant : width()}}, {}}};
  std::vector<std::string> ends;
  std::vector<std::string> outputs{"input"};
  for (int i = 0; i < random.units; ++i) {
    const std::string name = "linear" + std::to_string(i);
    specs.push_back({name, Linear{.out_features = random.is_residual ? constant : width()}, {outputs.back()}});
    ends.push_back(name);
    if (random.is_residual && i > 0 && rng.chance(0.6)) {
      const std::size_t from = 1 + static_cast<std::size_t>(rng.below(outputs.size() - 1));
      specs.push_back({"add" + std::to_string(i), Add{}, {name, outputs[from]}});
      ends.back() = "add" + std::to_string(i);
    }
    outputs.push_back(ends.back());
  }
  return std::make_shared<const Network>(Network::build("random", std::move(specs), "random", ends));
}

/// Devices behind one switch, slow enough that the layers of random_network() take about as long as their transfers.
inline std::shared_ptr<const Cluster> random_cluster(const RandomProblem& random, Rng& rng) {
  Cluster::Description description;
  description.name = "random";
  const double bandwidth = 1e8 * static_cast<double>(std::int64_t{1} << rng.below(5));
  for (const double speed : {1.0, 2.0}) {
    DeviceKind kind;
    kind.name = speed > 1.0 ? "fast" : "slow";
    kind.peak_float32 = FlopsPerSecond(speed * 1e9);
    kind.peak_bfloat16 = FlopsPerSecond(speed * 1e9);
    kind.memory = Bytes(random.memory);
    kind.memory_bandwidth = BytesPerSecond(speed * 1e9);
    kind.launch = Seconds(1e-5);
    kind.idle_power = Watts(10);
    kind.busy_power = Watts(100);
    kind.source = "made up for a test";
    description.kinds.push_back(kind);
    if (!random.is_unequal) break;
  }
  for (int i = 0; i < random.devices; ++i) {
    const std::string name = "d" + std::to_string(i);
    const auto kind = random.is_unequal ? DeviceKindId(i == 0 ? 1 : static_cast<int>(rng.below(2))) : DeviceKindId(0);
    description.devices.push_back({name, i == 1 ? DeviceKindId(0) : kind, 0});
    const double own = random.is_unequal ? bandwidth * static_cast<double>(1 + rng.below(2)) : bandwidth;
    for (const bool is_up : {true, false}) {
      Link link;
      link.name = name + (is_up ? ".up" : ".down");
      link.from = is_up ? VertexId(i) : VertexId(random.devices);
      link.to = is_up ? VertexId(random.devices) : VertexId(i);
      link.bandwidth = BytesPerSecond(own);
      link.latency = Seconds(1e-6);
      description.links.push_back(link);
    }
  }
  description.switches.push_back({"hub", 0, false});
  description.collective.launch = Seconds(1e-5);
  description.collective.step = Seconds(1e-6);
  return std::make_shared<const Cluster>(Cluster::build(std::move(description), "random"));
}

inline Problem random_problem(const RandomProblem& random, Rng& rng) {
  Problem problem;
  problem.network = random_network(random, rng);
  problem.cluster = random_cluster(random, rng);
  problem.training.global_batch = random.global_batch;
  return problem;
}

/// Any plan of the space.
inline Plan random_plan(const ga::PlanSpace& space, Rng& rng) {
  Plan plan;
  const auto counts = space.micro_batch_counts();
  plan.micro_batches = counts[rng.below(counts.size())];
  plan.schedule = static_cast<Schedule>(rng.below(3));
  plan.bucket = space.buckets()[rng.below(space.buckets().size())];
  std::int32_t first = 0;
  while (first < space.units()) {
    Stage stage;
    stage.first_unit = first;
    stage.end_unit = first = static_cast<std::int32_t>(rng.between(first + 1, space.units()));
    stage.recompute = static_cast<Recompute>(rng.below(3));
    for (std::int64_t i = rng.between(1, space.devices()); i > 0; --i) {
      stage.devices.emplace_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(space.devices()))));
    }
    plan.stages.push_back(std::move(stage));
  }
  space.repair(plan);
  return plan;
}

/// The problems that the tests of operators go over: equal and unequal, chains and residual, one to eight devices.
inline std::vector<Problem> various_problems() {
  std::vector<Problem> problems;
  for (int i = 0; i < 12; ++i) {
    Rng rng = Rng::substream(7, static_cast<std::uint64_t>(i));
    problems.push_back(random_problem({.units = 1 + (i * 5) % 13,
                                       .devices = 1 + (i * 3) % 8,
                                       .global_batch = 1 + (i * 7) % 24,
                                       .is_residual = i % 2 == 1,
                                       .is_unequal = i % 4 >= 2},
                                      rng));
  }
  return problems;
}

}  // namespace gabra::test
