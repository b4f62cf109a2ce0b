// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "exec_commands.hpp"
#include "gabra/exec/monitor.hpp"
#include "ranks.hpp"

#include <csignal>
#include <string>

int main(int argument_count, char** arguments) {
  gabra::exec::block_stop_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write()
  return gabra::cli::run_application(argument_count, arguments,
                                     {.name = "gabra",
                                      .run_exec_command = &gabra::cli::run_exec_command,
                                      .serves_measurements = true,
                                      .prints_input_faults = gabra::cli::is_first_rank()});
}
