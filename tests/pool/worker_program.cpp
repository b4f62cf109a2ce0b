// SPDX-License-Identifier: MIT
// A worker for the tests of the pool: `worker_program BUILD [KILL_CHANCE]` simulates plans like `gabra worker`, says it
// is of that build, and does on certain plans, told by their bucket size, what a worker must not do. With a chance it
// kills itself before a plan.
#include "gabra/pool/worker.hpp"

#include "gabra/core/rng.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "worker_program.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace gabra;

class BadEvaluator : public Evaluator {
 public:
  BadEvaluator(Problem problem, double kill_chance)
      : simulator_(std::move(problem)), kill_chance_(kill_chance), rng_(static_cast<std::uint64_t>(::getpid())) {}

  [[nodiscard]] const Problem& problem() const override { return simulator_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    misbehave(plans.front().bucket);
    return simulator_.evaluate(plans);
  }

 private:
  void misbehave(Bytes bucket) {
    if (bucket == test::kCrashingBucket) std::raise(SIGSEGV);
    if (bucket == test::kKilledBucket) std::raise(SIGKILL);
    if (bucket == test::kLeavingBucket) std::_Exit(5);
    if (bucket == test::kOrphaningBucket) ::kill(::getppid(), SIGKILL);
    if (bucket == test::kHangingBucket) ::pause();
    if (bucket == test::kBabblingBucket) std::cout << "what?\n" << std::flush;
    if (rng_.chance(kill_chance_)) std::raise(SIGKILL);
  }

  sim::SimEvaluator simulator_;
  double kill_chance_;
  Rng rng_;
};

}  // namespace

int main(int count, char** arguments) {
  const double kill_chance = count > 2 ? std::stod(arguments[2]) : 0.0;
  const bool is_good = pool::serve_plans(std::cin, std::cout, arguments[1], [&](Problem problem) {
    return std::make_unique<BadEvaluator>(std::move(problem), kill_chance);
  });
  return is_good ? 0 : 2;
}
