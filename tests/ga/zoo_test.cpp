// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/ga/baselines.hpp"
#include "gabra/sim/sim_evaluator.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace gabra::test {
namespace {

constexpr std::int64_t kEvaluations = 300;

/// The best of data parallel, even pipeline and sequential; none feasible: no time.
std::optional<Seconds> best_baseline(Evaluator& evaluator, const ga::SearchOptions& options) {
  std::optional<Seconds> best;
  for (const ga::Baseline& baseline : ga::evaluate_baselines(evaluator, options)) {
    const bool is_compared =
        baseline.name == "data-parallel" || baseline.name == "even-pipeline" || baseline.name == "sequential";
    if (is_compared && baseline.report && (!best || baseline.report->step < *best)) best = baseline.report->step;
  }
  return best;
}

void compare(const std::string& network, const std::string& cluster, std::int64_t batch) {
  Problem problem;
  problem.network = std::make_shared<const Network>(make_zoo_network(network));
  problem.cluster = std::make_shared<const Cluster>(make_preset_cluster(cluster));
  problem.training.global_batch = batch;
  sim::SimEvaluator evaluator(problem);
  ga::SearchOptions options;
  options.max_evaluations = kEvaluations;
  const std::optional<Seconds> baseline = best_baseline(evaluator, options);
  const ga::SearchResult found = ga::run_gabra(evaluator, options);
  options.max_evaluations = 10 * kEvaluations;
  const ga::SearchResult more = ga::run_gabra(evaluator, options);
  const auto text = [](const std::optional<StepReport>& report) { return report ? to_text(report->step) : "none"; };
  fmt::print("{:>15} {:>20} batch {:>3}: baselines {:>8}, found {:>8} ({}), ten times the budget {:>8} ({})\n", network,
             cluster, batch, baseline ? to_text(*baseline) : "none", text(found.report), found.evaluations,
             text(more.report), more.evaluations);
  ASSERT_EQ(found.report.has_value(), more.report.has_value());
  if (!baseline) return;
  ASSERT_TRUE(found.report);
  EXPECT_LE(found.report->step, *baseline);
  if (more.report->step < *baseline) {
    EXPECT_LT(found.report->step, *baseline);
  }
}

class Zoo : public testing::TestWithParam<std::string> {};

/// One case per network and cluster, so that they run side by side.
TEST_P(Zoo, IsNeverSlowerThanABaselineAndFasterWherePossible) {
  for (const ZooEntry& entry : network_zoo()) {
    for (const std::int64_t batch : {16, 64}) compare(entry.name, GetParam(), batch);
  }
}

INSTANTIATE_TEST_SUITE_P(Clusters, Zoo,
                         testing::Values("workstation-2", "dgx1-v100", "dgx-a100", "pcie-p40x8", "dgx1-v100:nodes=2"));

}  // namespace
}  // namespace gabra::test
