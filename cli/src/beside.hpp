// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace gabra::cli {

/// Path of `name` in the folder of this program. Throws InputError when it is not there: gabra-exec is left out by
/// -DGABRA_BUILD_EXEC=OFF.
[[nodiscard]] std::string program_beside(const std::string& name);

/// Replaces this process by `name` with these arguments. Throws InputError.
[[noreturn]] void become_program_beside(const std::string& name, char** arguments);

}  // namespace gabra::cli
