// SPDX-License-Identifier: MIT
// Plans per second through worker processes and through Ray, beside one process. Run by hand, on idle cores:
// pool_bench [RAY_ADDRESS [BRIDGE]]. All are asked in turns, several rounds, and every figure is the best of its
// rounds: what else the machine does only takes from it. `pool_bench worker` is the worker.
#include "gabra/cluster/presets.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/pool/messages.hpp"
#include "gabra/pool/pool_evaluator.hpp"
#include "gabra/pool/worker.hpp"
#include "gabra/sim/sim_evaluator.hpp"

#include "support/random_problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace gabra;

constexpr int kRounds = 5;

struct Case {
  std::string name;
  Problem problem;
  std::vector<Plan> plans;
};

Case make_case(const std::string& name, const std::string& cluster, std::int64_t batch, std::size_t count) {
  Case result;
  result.name = name;
  result.problem.network = std::make_shared<const Network>(make_zoo_network("3d-resattnet-34"));
  result.problem.cluster = std::make_shared<const Cluster>(make_preset_cluster(cluster));
  result.problem.training.global_batch = batch;
  Rng rng(1);
  while (result.plans.size() < count) {
    result.plans.push_back(test::random_plan(result.problem, rng));
    result.plans.back().bucket = Plan{}.bucket;
  }
  return result;
}

/// Plans per second, in calls of `size` plans.
double throughput(Evaluator& evaluator, const std::vector<Plan>& plans, std::size_t size) {
  const std::span<const Plan> all(plans);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < plans.size(); i += size)
    (void)evaluator.evaluate(all.subspan(i, std::min(size, plans.size() - i)));
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(plans.size()) / passed.count();
}

pool::PoolOptions workers(const std::string& program, std::int64_t count) {
  pool::PoolOptions options;
  options.command.words = {program, "worker"};
  options.processes = count;
  return options;
}

pool::PoolOptions bridge(const std::string& program, const std::string& address, const std::string& path) {
  pool::PoolOptions options;
  options.command.words = {"python3", path, "--address", address, "--worker", program, "--jobs", "2"};
  options.is_bridge = true;
  options.start_limit = Seconds(180.0);
  return options;
}

int serve(const std::string& build) {
  const bool is_good = pool::serve_plans(std::cin, std::cout, build, [](Problem problem) {
    return std::make_unique<sim::SimEvaluator>(std::move(problem));
  });
  return is_good ? 0 : 2;
}

void measure(const Case& one, const std::vector<pool::PoolOptions>& pools) {
  std::vector<std::unique_ptr<Evaluator>> evaluators;
  evaluators.push_back(std::make_unique<sim::SimEvaluator>(one.problem));
  for (const pool::PoolOptions& options : pools)
    evaluators.push_back(std::make_unique<pool::PoolEvaluator>(one.problem, options));
  // Workers start.
  for (const auto& evaluator : evaluators) (void)evaluator->evaluate(std::span(one.plans).first(64));
  for (const std::size_t size : {std::size_t{48}, one.plans.size()}) {
    std::vector<double> rates(evaluators.size());
    for (int round = 0; round < kRounds; ++round)
      for (std::size_t i = 0; i < rates.size(); ++i)
        rates[i] = std::max(rates[i], throughput(*evaluators[i], one.plans, size));
    fmt::print("{:24} {:6} {:10.0f} {:8.0f} {:8.0f} {:7.2f}", one.name, size, rates[0], rates[1], rates[2],
               rates[2] / rates[1]);
    if (rates.size() > 3) fmt::print(" {:10.0f} {:7.2f}", rates[3], rates[3] / rates[2]);
    fmt::print("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string build = pool::build_of_this_program("bench");
  if (count > 1 && std::string(arguments[1]) == "worker") return serve(build);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<pool::PoolOptions> pools{workers(program, 1), workers(program, 2)};
  if (count > 1) pools.push_back(bridge(program, arguments[1], count > 2 ? arguments[2] : GABRA_BRIDGE));
  for (pool::PoolOptions& options : pools) options.build = build;
  fmt::print("plans/s of 3d-resattnet-34   a call in process    1 job   2 jobs   ratio  2 over Ray   ratio\n");
  const std::vector<Case> cases{make_case("dgx1-v100, batch 32", "dgx1-v100", 32, 960),
                                make_case("dgx1-v100, batch 64", "dgx1-v100", 64, 1920),
                                make_case("dgx-a100 x 4, batch 256", "dgx-a100:nodes=4", 256, 384)};
  for (const Case& one : cases) measure(one, pools);
  return 0;
}
