// SPDX-License-Identifier: MIT
#include "gabra/ga/baselines.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "random_problem.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace gabra::test {
namespace {

/// A size of case that can be enumerated; `cases` of it, chains and residual graphs, equal and unequal devices in turn.
struct Size {
  int units, devices;
  std::int64_t global_batch, max_stages_per_device;
  int cases;
};

constexpr std::int64_t kEvaluations = 3000;

struct Score {
  int cases = 0;
  int optimal = 0;
  double worst = 1.0;  ///< found time / optimal time
};

/// Compares search and enumeration over the same space and prints both.
void compare(const Size& size, int index, Score& score) {
  Rng rng = Rng::substream(
      2026, static_cast<std::uint64_t>(size.units * 100 + size.devices * 10 + size.max_stages_per_device),
      static_cast<std::uint64_t>(index));
  const bool is_residual = index % 2 == 1;
  const bool is_unequal = index % 4 >= 2;
  const Problem problem = random_problem({.units = size.units,
                                          .devices = size.devices,
                                          .global_batch = size.global_batch,
                                          .is_residual = is_residual,
                                          .is_unequal = is_unequal},
                                         rng);
  sim::SimEvaluator evaluator(problem);
  ga::SearchOptions options;
  options.max_evaluations = kEvaluations;
  options.space.buckets = {Bytes(25'000'000)};
  options.space.max_stages_per_device = size.max_stages_per_device;
  const ga::Optimum optimum = ga::enumerate_optimum(evaluator, options);
  const ga::SearchResult found = ga::run_gabra(evaluator, options);
  ASSERT_TRUE(optimum.result.report && found.report);
  const double ratio = found.report->step / optimum.result.report->step;
  EXPECT_GE(ratio, 1.0 - 1e-12) << "the enumeration missed " << to_text(found.best->stages);
  ++score.cases;
  score.optimal += ratio <= 1.0 + 1e-9 ? 1 : 0;
  score.worst = std::max(score.worst, ratio);
  fmt::print(
      "{} {} units, {} {} devices: space {:>10}, layouts {:>7}, simulated {:>6}; optimum {}, found {} ({:.4f}) "
      "after {} evaluations\n",
      is_residual ? "residual" : "chain   ", size.units, size.devices, is_unequal ? "unequal" : "equal  ",
      optimum.space_size, optimum.layouts, optimum.result.evaluations, to_text(optimum.result.report->step),
      to_text(found.report->step), ratio, found.evaluations);
}

void compare_all(std::initializer_list<Size> sizes) {
  Score score;
  for (const Size& size : sizes) {
    for (int i = 0; i < size.cases; ++i) ASSERT_NO_FATAL_FAILURE(compare(size, i, score));
  }
  fmt::print("optimum found in {} of {} cases, worst {:.4f} of it\n", score.optimal, score.cases, score.worst);
  EXPECT_GE(score.optimal, 0.95 * score.cases);
  EXPECT_LE(score.worst, 1.02);
}

TEST(Optimum, SharedDevices) { compare_all({{4, 2, 4, 4, 12}, {5, 2, 4, 2, 8}, {3, 3, 4, 3, 8}, {4, 3, 4, 2, 8}}); }

TEST(Optimum, OneStagePerDevice) {
  compare_all({{6, 2, 8, 1, 8}, {5, 3, 8, 1, 8}, {8, 3, 6, 1, 8}, {4, 4, 8, 1, 8}, {6, 4, 6, 1, 8}});
}

}  // namespace
}  // namespace gabra::test
