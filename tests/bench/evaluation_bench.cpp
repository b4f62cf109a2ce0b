// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/sim/sim_evaluator.hpp"

#include "bare_simgrid.hpp"
#include "support/toy_problem.hpp"

#include <benchmark/benchmark.h>

#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gabra::bench {
namespace {

Problem make_problem(const std::string& cluster, std::int64_t global_batch) {
  Problem problem;
  problem.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-34"));
  problem.cluster = std::make_shared<const Cluster>(make_preset_cluster(cluster));
  problem.training.global_batch = global_batch;
  return problem;
}

/// As many stages as devices, with about equally many units, 1F1B.
Plan pipeline(const Problem& problem, int stages, std::int64_t micro_batches) {
  Plan plan;
  plan.micro_batches = micro_batches;
  const auto units = static_cast<std::int32_t>(problem.network->unit_count());
  for (std::int32_t s = 0; s < stages; ++s) {
    plan.stages.push_back(
        {.first_unit = units * s / stages, .end_unit = units * (s + 1) / stages, .devices = {DeviceId(s)}});
  }
  return plan;
}

Plan data_parallel(const Problem& problem) {
  Plan plan;
  plan.micro_batches = 8;
  Stage& all = plan.stages.emplace_back();
  all.end_unit = static_cast<std::int32_t>(problem.network->unit_count());
  for (int device = 0; device < 8; ++device) all.devices.emplace_back(device);
  return plan;
}

void evaluate(benchmark::State& state, const Problem& problem, const Plan& plan) {
  sim::SimEvaluator evaluator(problem);
  if (const Evaluation first = evaluator.evaluate(plan); std::holds_alternative<Infeasible>(first)) {
    return state.SkipWithError(std::get<Infeasible>(first).message.c_str());
  }
  for (auto _ : state) benchmark::DoNotOptimize(evaluator.evaluate(plan));
  state.counters["evaluations/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void evaluate_pipeline(benchmark::State& state) {
  const Problem problem = make_problem("dgx1-v100", 32);
  evaluate(state, problem, pipeline(problem, 8, 8));
}
BENCHMARK(evaluate_pipeline)->Unit(benchmark::kMicrosecond);

void evaluate_data_parallel(benchmark::State& state) {
  const Problem problem = make_problem("dgx1-v100", 32);
  evaluate(state, problem, data_parallel(problem));
}
BENCHMARK(evaluate_data_parallel)->Unit(benchmark::kMicrosecond);

/// Only the compiler, its check included.
void compile_pipeline(benchmark::State& state) {
  const Problem problem = make_problem("dgx1-v100", 32);
  const Plan plan = pipeline(problem, 8, 8);
  Compiler compiler(problem);
  for (auto _ : state) benchmark::DoNotOptimize(compiler.compile(plan));
}
BENCHMARK(compile_pipeline)->Unit(benchmark::kMicrosecond);

/// A pipeline over all devices of as many DGX A100 as needed: equally many spans of compute and transfers.
struct Mix {
  explicit Mix(int devices) : simulator(*(problem = make_toy_problem(devices)).cluster), bare(devices) {
    Compiler compiler(problem);
    program = std::get<Program>(compiler.compile(pipeline(problem, devices, 8)));
  }

  static Problem make_toy_problem(int devices) {
    Problem problem;
    problem.network = test::toy_network(test::equal_layers(static_cast<std::size_t>(devices), {1e-3, 2e-3, 4'000'000}));
    const int nodes = (devices + 7) / 8;
    problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("dgx-a100:nodes=" + std::to_string(nodes)));
    problem.training.global_batch = 8;
    return problem;
  }

  Problem problem;
  sim::Simulator simulator;
  BareSimGrid bare;
  Program program;
};

/// All of them are made before anything runs: SimGrid takes no new zones under its root after that.
std::map<int, std::unique_ptr<Mix>>& mixes() {
  static std::map<int, std::unique_ptr<Mix>> all = [] {
    std::map<int, std::unique_ptr<Mix>> made;
    for (const int devices : {4, 8, 64}) made.emplace(devices, std::make_unique<Mix>(devices));
    return made;
  }();
  return all;
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Simulator::run(), report included, and bare SimGrid in turn on the same Program; rates are by CPU time.
void beside_bare_simgrid(benchmark::State& state) {
  Mix& mix = *mixes().at(static_cast<int>(state.range(0)));
  double ours = 0.0;
  double bare = 0.0;
  for (auto _ : state) {
    const double begin = cpu_seconds();
    benchmark::DoNotOptimize(mix.bare.run(mix.program));
    const double middle = cpu_seconds();
    benchmark::DoNotOptimize(mix.simulator.run(mix.program));
    ours += cpu_seconds() - middle;
    bare += middle - begin;
  }
  const double activities = static_cast<double>(state.iterations()) * count_activities(mix.program);
  state.counters["activities"] = count_activities(mix.program);
  state.counters["activities/s"] = activities / ours;
  state.counters["bare activities/s"] = activities / bare;
  state.counters["ratio"] = bare / ours;
}
BENCHMARK(beside_bare_simgrid)->Arg(4)->Arg(8)->Arg(64)->Unit(benchmark::kMicrosecond);

std::int64_t resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      std::int64_t kilobytes = 0;
      status >> kilobytes;
      return kilobytes;
    }
  }
  return 0;
}

/// Resident memory before and after 100,000 evaluations, in kB.
void memory_growth(benchmark::State& state) {
  const Problem problem = make_problem("dgx1-v100", 32);
  sim::SimEvaluator evaluator(problem);
  std::vector<Plan> plans;
  for (int stages = 1; stages <= 8; ++stages) plans.push_back(pipeline(problem, stages, 8));
  for (int i = 0; i < 1000; ++i) benchmark::DoNotOptimize(evaluator.evaluate(plans[static_cast<std::size_t>(i) % 8]));
  const std::int64_t before = resident_kilobytes();
  for (auto _ : state) {
    for (int i = 0; i < 100'000; ++i) {
      benchmark::DoNotOptimize(evaluator.evaluate(plans[static_cast<std::size_t>(i) % 8]));
    }
  }
  state.counters["before kB"] = static_cast<double>(before);
  state.counters["growth kB"] = static_cast<double>(resident_kilobytes() - before);
}
BENCHMARK(memory_growth)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace gabra::bench

int main(int count, char** arguments) {
  gabra::bench::mixes();  // before any benchmark runs SimGrid
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
