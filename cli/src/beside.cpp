// SPDX-License-Identifier: MIT
#include "beside.hpp"

#include "gabra/core/error.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace gabra::cli {

std::string program_beside(const std::string& name) {
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string program = (own.parent_path() / name).string();
  if (::access(program.c_str(), X_OK) == 0) return program;
  throw_input_error(program, std::string("a program that cannot be started: ") + std::strerror(errno),
                    name == "gabra-exec"
                        ? "gabra-exec beside gabra, which -DGABRA_BUILD_EXEC=ON builds: this gabra was built without it"
                        : name + " beside gabra, where installing puts it");
}

void become_program_beside(const std::string& name, char** arguments) {
  const std::string program = program_beside(name);
  ::execv(program.c_str(), arguments);
  throw_input_error(program, std::string("a program that cannot be started: ") + std::strerror(errno),
                    "a program for this machine");
}

}  // namespace gabra::cli
