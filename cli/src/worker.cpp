// SPDX-License-Identifier: MIT
#include "gabra/pool/worker.hpp"

#include "application.hpp"
#include "commands.hpp"
#include "gabra/pool/messages.hpp"
#include "gabra/sim/sim_evaluator.hpp"

#include <iostream>
#include <memory>
#include <utility>

namespace gabra::cli {

int run_worker(const FlagSet& flags) {
  FaultList faults;
  const FlagReader reader(flags, faults);
  faults.throw_if_any();
  std::ios::sync_with_stdio(false);
  const bool is_good =
      pool::serve_plans(std::cin, std::cout, pool::build_of_this_program(program_version()),
                        [](Problem problem) { return std::make_unique<sim::SimEvaluator>(std::move(problem)); });
  return is_good ? kDone : kBadInput;
}

}  // namespace gabra::cli
