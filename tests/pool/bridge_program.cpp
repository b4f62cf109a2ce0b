// SPDX-License-Identifier: MIT
// A search over the bridge to Ray, for ray_test.py: `bridge_program PYTHON BRIDGE ADDRESS WORKER` evaluates random
// plans some of which crash, hang or end their worker, or end the process of Ray that has it, and compares with this
// process.
#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/pool/messages.hpp"
#include "gabra/pool/pool_evaluator.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "support/random_problem.hpp"
#include "worker_program.hpp"

#include <array>
#include <cstddef>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace gabra;

constexpr std::size_t kPlans = 200;
constexpr std::array<std::pair<std::size_t, Bytes>, 4> kBad{{{10, test::kCrashingBucket},
                                                             {60, test::kHangingBucket},
                                                             {110, test::kLeavingBucket},
                                                             {160, test::kOrphaningBucket}}};

bool is_bad(std::size_t index) {
  for (const auto& [bad, bucket] : kBad)
    if (bad == index) return true;
  return false;
}

/// Plans whose answers are not as they should be.
int count_wrong(const Problem& problem, const std::vector<Plan>& plans, const std::vector<Evaluation>& evaluations) {
  sim::SimEvaluator here(problem);
  int wrong = 0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto* infeasible = std::get_if<Infeasible>(&evaluations[i]);
    const bool is_aside = infeasible != nullptr && infeasible->reason == Infeasible::Reason::Failed;
    const bool is_right =
        is_bad(i) ? is_aside : pool::to_line(0, evaluations[i]) == pool::to_line(0, here.evaluate(plans[i]));
    if (!is_right) std::cout << "wrong: plan " << i << ": " << pool::to_line(0, evaluations[i]) << "\n";
    wrong += is_right ? 0 : 1;
  }
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return 2;
  Rng rng(7);
  const Problem problem = test::random_problem(rng);
  std::vector<Plan> plans;
  for (std::size_t i = 0; i < kPlans; ++i) plans.push_back(test::random_plan(problem, rng));
  for (const auto& [index, bucket] : kBad) plans[index].bucket = bucket;
  pool::PoolOptions options;
  options.command.words = {arguments[1], arguments[2], "--address",    arguments[3],
                           "--worker",   arguments[4], "--plan-limit", "2"};
  options.build = "worker";  // what the bridge calls its worker's task is what the worker of the tests calls its build
  options.is_bridge = true;
  options.start_limit = Seconds(120.0);
  options.log = [](const std::string& line) { std::cout << line << std::endl; };
  try {
    pool::PoolEvaluator pool(problem, options);
    const int wrong = count_wrong(problem, plans, pool.evaluate(plans));
    for (const pool::SetAside& aside : pool.set_aside()) std::cout << aside.reason << "\n";
    return wrong == 0 && pool.set_aside().size() == kBad.size() ? 0 : 1;
  } catch (const Error& error) {
    std::cout << error.what() << "\n";
    return 3;
  }
}
