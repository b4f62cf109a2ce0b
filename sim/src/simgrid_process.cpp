// SPDX-License-Identifier: MIT
#include "simgrid_process.hpp"

#include <simgrid/s4u.hpp>

#include <csignal>

#include <array>
#include <string>
#include <vector>

namespace gabra::sim {
namespace {

// SimGrid takes over signals that belong to the program (Ctrl-C keeps the best plan so far).
class SignalGuard {
 public:
  SignalGuard() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &saved_[i]);
    sigaltstack(nullptr, &stack_);
  }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  ~SignalGuard() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &saved_[i], nullptr);
    sigaltstack(&stack_, nullptr);
  }

 private:
  static constexpr std::array kSignals{SIGINT, SIGSEGV, SIGBUS, SIGABRT};
  std::array<struct sigaction, kSignals.size()> saved_{};
  stack_t stack_{};
};

}  // namespace

simgrid::s4u::Engine& start_simgrid() {
  const SignalGuard guard;
  // Its own argv: SimGrid removes what it understands. The defaults of its network model are for TCP over Ethernet
  // (latency x 13.01, bandwidth x 0.97, a 4 MiB window, 5 % of cross traffic).
  std::vector<std::string> words{"gabra",
                                 "--log=root.thres:critical",
                                 "--cfg=network/model:CM02",
                                 "--cfg=network/latency-factor:1",
                                 "--cfg=network/bandwidth-factor:1",
                                 "--cfg=network/weight-S:0",
                                 "--cfg=network/crosstraffic:0",
                                 "--cfg=network/TCP-gamma:0",
                                 "--cfg=surf/precision:1e-12",
                                 "--cfg=maxmin/precision:1e-12",
                                 "--cfg=debug/clean-atexit:0"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return *new simgrid::s4u::Engine(&count, arguments.data());  // SimGrid's for ever: it cannot be shut down safely
}

}  // namespace gabra::sim
