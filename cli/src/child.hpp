// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::cli {

/// How a child process ended.
struct ChildEnd {
  int status = 0;                ///< exit status; 128 + signal when a signal ended it
  int interrupted_by = 0;        ///< SIGINT or SIGTERM that this process received and handed on; 0: none
  bool has_lost_output = false;  ///< its standard output could not be written to this process's
};

/// Runs a program (searched in PATH; arguments follow its name) in a process group of its own, without standard input,
/// and waits for it. SIGINT, SIGTERM and SIGHUP are handed on to it; a second one kills it. It is ended with this
/// process, however that ends, and what it leaves in its process group is killed. Its standard output is
/// passed on to this process's, `print_error` gets its standard error. Throws InputError when it cannot be started.
[[nodiscard]] ChildEnd run_child(const std::vector<std::string>& words,
                                 const std::function<void(std::string_view)>& print_error);

}  // namespace gabra::cli
