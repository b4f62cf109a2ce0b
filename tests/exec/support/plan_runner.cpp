// SPDX-License-Identifier: MIT
#include "support/plan_runner.hpp"

#include "gabra/core/check.hpp"
#include "gabra/plan/compiler.hpp"

#include <variant>

namespace gabra::exec {

RandomSource::RandomSource(const Problem& problem, std::int64_t micro_batches, std::int64_t steps) {
  for (std::int64_t step = 0; step < steps; ++step)
    batches_.push_back(make_random_batch(*problem.network, micro_batches, problem.training.global_batch / micro_batches,
                                         static_cast<std::uint64_t>(100 + step)));
}

std::vector<at::Tensor> RandomSource::inputs(std::int64_t step, std::int64_t micro_batch) {
  return batch(step).inputs[static_cast<std::size_t>(micro_batch)];
}

at::Tensor RandomSource::target(std::int64_t step, std::int64_t micro_batch) {
  return batch(step).targets[static_cast<std::size_t>(micro_batch)];
}

std::unique_ptr<Communicator::Pending> NotingCommunicator::start(const TransferRequest& request) {
  bytes_[request.instruction] = static_cast<std::int64_t>(request.tensor.nbytes());
  return inner_.start(request);
}

Program compile_or_die(const Problem& problem, const Plan& plan) {
  std::variant<Program, Infeasible> result = Compiler(problem).compile(plan);
  GABRA_CHECK(std::holds_alternative<Program>(result), std::get<Infeasible>(result).message);
  return std::get<Program>(std::move(result));
}

}  // namespace gabra::exec
