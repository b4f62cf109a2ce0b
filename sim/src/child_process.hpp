// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace gabra::sim {

/// What became of work in a child process.
struct ChildOutcome {
  enum class Kind {
    Done,     ///< `text` is what the work returned
    Failed,   ///< it threw: `text` is what it said
    Crashed,  ///< it aborted or was killed: `text` is what it last wrote to standard error, if anything
    TimedOut,
  };
  Kind kind = Kind::Done;
  std::string text;
};

/// Runs `work` in a forked copy of this process, whose standard output goes nowhere, and waits for it. Nothing that the
/// work does is seen here but its result. Throws Error when no child can be made.
[[nodiscard]] ChildOutcome run_in_child(const std::function<std::string()>& work, std::chrono::milliseconds timeout);

}  // namespace gabra::sim
