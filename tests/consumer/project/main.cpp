// SPDX-License-Identifier: MIT
// Searches a plan for a small network on two devices and simulates it, through installed headers only.
#include <gabra/cluster/presets.hpp>
#include <gabra/core/units.hpp>
#include <gabra/ga/search.hpp>
#include <gabra/network/zoo.hpp>
#include <gabra/plan/plan.hpp>
#include <gabra/sim/sim_evaluator.hpp>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <variant>

int main() {
  gabra::Problem problem;
  problem.network =
      std::make_shared<const gabra::Network>(gabra::make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32"));
  problem.cluster = std::make_shared<const gabra::Cluster>(gabra::make_preset_cluster("workstation-2"));
  problem.training.global_batch = 8;

  gabra::sim::SimEvaluator evaluator(problem);
  gabra::ga::SearchOptions options;
  options.max_evaluations = 200;
  const gabra::ga::SearchResult found = gabra::ga::run_gabra(evaluator, options);
  if (!found.best || !found.report) {
    std::cerr << "no plan was found\n";
    return EXIT_FAILURE;
  }
  const gabra::Evaluation again = evaluator.evaluate(*found.best);
  const auto* report = std::get_if<gabra::StepReport>(&again);
  if (report == nullptr || report->step != found.report->step) {
    std::cerr << "the plan's step time is not what the search said\n";
    return EXIT_FAILURE;
  }
  std::cout << gabra::to_text(found.best->stages) << ", " << found.best->micro_batches
            << " micro-batches: " << gabra::to_text(report->step) << '\n';
  return EXIT_SUCCESS;
}
