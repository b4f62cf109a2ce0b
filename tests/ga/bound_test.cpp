// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "operators.hpp"
#include "random_problem.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>

namespace gabra::test {
namespace {

using ga::PlanSpace;

void expect_bounded(sim::SimEvaluator& evaluator, const Plan& plan) {
  const Evaluation evaluation = evaluator.evaluate(plan);
  const auto* report = std::get_if<StepReport>(&evaluation);
  if (report == nullptr) return;
  Plan without = plan;
  for (Stage& stage : without.stages) stage.recompute = Recompute::Never;
  CostModel& costs = evaluator.compiler().costs();
  EXPECT_LE(costs.lower_bound(plan), report->step) << to_text(plan.stages) << " M " << plan.micro_batches;
  EXPECT_LE(costs.lower_bound(without), costs.lower_bound(plan)) << to_text(plan.stages);
}

TEST(LowerBound, NeverExceedsTheSimulatedTime) {
  std::uint64_t seed = 0;
  for (const Problem& problem : various_problems()) {
    sim::SimEvaluator evaluator(problem);
    const PlanSpace space(problem, {});
    Rng rng = Rng::substream(17, ++seed);
    for (int i = 0; i < 60; ++i) expect_bounded(evaluator, random_plan(space, rng));
  }
}

TEST(LowerBound, HoldsForNetworksOfTheZoo) {
  for (const std::string network : {"3d-resattnet-18", "vgg-16", "unet-3d"}) {
    for (const std::string cluster : {"dgx1-v100", "pcie-p40x8", "dgx1-v100:nodes=2"}) {
      Problem problem;
      problem.network = std::make_shared<const Network>(make_zoo_network(network));
      problem.cluster = std::make_shared<const Cluster>(make_preset_cluster(cluster));
      problem.training.global_batch = 16;
      sim::SimEvaluator evaluator(problem);
      const PlanSpace space(problem, {});
      Rng rng = Rng::substream(19, 1);
      for (int i = 0; i < 20; ++i) expect_bounded(evaluator, random_plan(space, rng));
    }
  }
}

/// The canonical form of a plan is priced in its place: the two must cost the same. Where stages share devices, ties
/// between transfers and the directions of overlapping rings go by device number, which is worth less than a
/// thousandth.
TEST(CanonicalForm, CostsTheSame) {
  std::uint64_t seed = 0;
  for (const Problem& problem : various_problems()) {
    sim::SimEvaluator evaluator(problem);
    Rng rng = Rng::substream(23, ++seed);
    for (int i = 0; i < 120; ++i) {
      const bool is_shared = i % 2 == 1;
      const PlanSpace space(problem, {.max_stages_per_device = is_shared ? 4 : 1});
      const Plan plan = random_plan(space, rng);
      const Evaluation original = evaluator.evaluate(plan);
      const Evaluation canonical = evaluator.evaluate(space.canonical(plan));
      ASSERT_EQ(original.index(), canonical.index());
      if (original.index() != 0) continue;
      const double ratio = std::get<StepReport>(canonical).step / std::get<StepReport>(original).step;
      EXPECT_NEAR(ratio, 1.0, is_shared ? 1e-3 : 1e-9) << to_text(plan.stages) << " M " << plan.micro_batches;
    }
  }
}

}  // namespace
}  // namespace gabra::test
