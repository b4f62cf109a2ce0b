// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "beside.hpp"
#include "launch.hpp"
#include "ranks.hpp"
#include "train_job.hpp"

#include <string_view>

namespace {

using namespace gabra;

/// Replaces this process by gabra-sim, with the same arguments.
int start_simulator(cli::SimCommand, const cli::FlagSet&, char** arguments) {
  cli::become_program_beside("gabra-sim", arguments);
}

/// Checks the flags, then starts the ranks of a training, or becomes gabra-exec.
int start_executor(cli::ExecCommand command, const cli::FlagSet& flags, char** arguments) {
  switch (command) {
    case cli::ExecCommand::Train:
      return cli::run_train_launcher(flags, arguments);
    case cli::ExecCommand::Calibrate:
      return cli::run_calibrate_launcher(flags, arguments);
    case cli::ExecCommand::Predict:
      (void)cli::read_predict_job(flags);
      break;
    case cli::ExecCommand::Explain:
      (void)cli::read_explain_job(flags);
      break;
    case cli::ExecCommand::Measure:
      break;
  }
  cli::become_program_beside("gabra-exec", arguments);
}

/// Several of them are one command; others, such as a `gabra optimize` in every task of a job, each speak for
/// themselves.
bool is_later_rank_of_training(int argument_count, char** arguments) {
  if (argument_count < 2 || !cli::is_rank_of_job() || cli::is_first_rank()) return false;
  const std::string_view command = arguments[1];
  return command == "train" || command == "calibrate";
}

}  // namespace

int main(int argument_count, char** arguments) {
  return gabra::cli::run_application(argument_count, arguments,
                                     {.name = "gabra",
                                      .run_sim_command = &start_simulator,
                                      .run_exec_command = &start_executor,
                                      .prints_input_faults = !is_later_rank_of_training(argument_count, arguments)});
}
