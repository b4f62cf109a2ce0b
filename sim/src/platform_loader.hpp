// SPDX-License-Identifier: MIT
#pragma once

#include "platform_graph.hpp"

#include <string>

namespace gabra::sim {

/// Loads a platform file into a fresh SimGrid engine and looks it over. Only for a child process that ends soon after:
/// the process can simulate nothing else then. Throws InputError, or aborts where SimGrid does.
[[nodiscard]] PlatformFacts load_platform_file(const std::string& path);

}  // namespace gabra::sim
