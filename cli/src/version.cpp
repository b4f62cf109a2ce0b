// SPDX-License-Identifier: MIT
#include "version.hpp"

#include "git_id.hpp"

namespace gabra::cli {

std::string version() { return GABRA_VERSION; }

std::string git_id() { return GABRA_GIT_ID; }

}  // namespace gabra::cli
