// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace gabra::cli {

[[nodiscard]] std::string version();
/// The commit that this program was built from, "-dirty" when files were changed since; empty outside of a git
/// checkout.
[[nodiscard]] std::string git_id();

}  // namespace gabra::cli
