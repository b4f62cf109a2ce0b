// SPDX-License-Identifier: MIT
// What a search and the command ask of the models: networks built, all-reduces laid on links.
#include "gabra/cluster/collective.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/network/zoo.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gabra::bench {
namespace {

constexpr Bytes kMebibyte{std::int64_t{1} << 20};

std::vector<DeviceId> first(std::int32_t count) {
  std::vector<DeviceId> devices;
  for (std::int32_t i = 0; i < count; ++i) devices.emplace_back(i);
  return devices;
}

void build_network(benchmark::State& state, const std::string& name) {
  for (auto _ : state) benchmark::DoNotOptimize(make_zoo_network(name).parameters());
}
BENCHMARK_CAPTURE(build_network, resnet_101, "resnet-101")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build_network, gpt, "gpt")->Unit(benchmark::kMicrosecond);

/// A group that was asked for before, as in nearly every plan of a search.
void known_all_reduce(benchmark::State& state) {
  const Cluster cluster = make_preset_cluster("dgx1-v100");
  CollectiveModel model(cluster);
  const std::vector<DeviceId> devices = first(8);
  for (auto _ : state) benchmark::DoNotOptimize(model.all_reduce(devices, kMebibyte).alone);
}
BENCHMARK(known_all_reduce)->Unit(benchmark::kNanosecond);

/// Cluster, rings and layout from nothing.
void all_reduce_over_128(benchmark::State& state, const std::string& name) {
  for (auto _ : state) {
    const Cluster cluster = make_preset_cluster(name);
    CollectiveModel model(cluster);
    benchmark::DoNotOptimize(model.all_reduce(first(128), kMebibyte).alone);
  }
}
BENCHMARK_CAPTURE(all_reduce_over_128, dgx_a100, "dgx-a100:nodes=16")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(all_reduce_over_128, dgx1_v100, "dgx1-v100:nodes=16")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gabra::bench
