// SPDX-License-Identifier: MIT
#include "application.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace {

using namespace gabra;

/// Replaces this process by gabra-sim, which stands beside it, with the same arguments.
int start_simulator(cli::SimCommand, const cli::FlagSet&, char** arguments) {
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = (own.parent_path() / "gabra-sim").string();
  execv(program.c_str(), arguments);
  throw_input_error(program, std::string("a program that cannot be started: ") + std::strerror(errno),
                    "gabra-sim beside gabra, where installing puts it");
}

}  // namespace

int main(int argument_count, char** arguments) {
  return gabra::cli::run_application(argument_count, arguments, &start_simulator);
}
