// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "commands.hpp"
#include "gabra/core/check.hpp"
#include "gabra/sim/platform.hpp"

namespace {

using namespace gabra;

int run_here(cli::SimCommand command, const cli::FlagSet& flags, char** arguments) {
  switch (command) {
    case cli::SimCommand::Optimize:
      return cli::run_optimize(flags, &sim::read_platform);
    case cli::SimCommand::Simulate:
      return cli::run_simulate(flags, &sim::read_platform);
    case cli::SimCommand::Validate:
      return cli::run_validate(flags, arguments);
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
  return gabra::cli::run_application(argument_count, arguments, {.name = "gabra", .run_sim_command = &run_here});
}
