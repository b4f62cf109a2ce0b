// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "commands.hpp"
#include "gabra/core/check.hpp"
#include "gabra/sim/platform.hpp"
#include "ranks.hpp"

#include <string_view>

namespace {

using namespace gabra;

int run_here(cli::SimCommand command, const cli::FlagSet& flags, char**) {
  switch (command) {
    case cli::SimCommand::Optimize:
      return cli::run_optimize(flags, &sim::read_platform);
    case cli::SimCommand::Simulate:
      return cli::run_simulate(flags, &sim::read_platform);
    case cli::SimCommand::Validate:
      return cli::run_validate(flags);
    case cli::SimCommand::Worker:
      return cli::run_worker(flags);
    case cli::SimCommand::DescribeCluster:
      return cli::run_describe_cluster(flags, &sim::read_platform, &sim::to_platform_xml);
  }
  GABRA_CHECK(false, "an unknown command");
  return cli::kBadInput;
}

}  // namespace

int main(int argument_count, char** arguments) {
  // Ranks of a job are one validation; other commands in every task of a job each speak for themselves.
  const bool is_later_rank = argument_count > 1 && std::string_view(arguments[1]) == "validate" &&
                             gabra::cli::is_rank_of_job() && !gabra::cli::is_first_rank();
  return gabra::cli::run_application(
      argument_count, arguments,
      {.name = "gabra", .run_sim_command = &run_here, .prints_input_faults = !is_later_rank});
}
