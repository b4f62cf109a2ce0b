// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "exec_commands.hpp"
#include "gabra/exec/monitor.hpp"

#include <csignal>
#include <cstdlib>
#include <string>

namespace {

/// Before MPI starts: ranks find the same faults in the same flags, and one of them is to say so.
bool is_first_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* rank = std::getenv(name)) return std::string(rank) == "0";
  return true;
}

}  // namespace

int main(int argument_count, char** arguments) {
  gabra::exec::block_stop_signals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write()
  return gabra::cli::run_application(argument_count, arguments,
                                     {.name = "gabra",
                                      .run_exec_command = &gabra::cli::run_exec_command,
                                      .serves_measurements = true,
                                      .prints_input_faults = is_first_rank()});
}
