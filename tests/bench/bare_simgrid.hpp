// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/program.hpp"

#include <memory>

namespace gabra::bench {

/// The least that a user of SimGrid would write to run the activities of a Program: an Exec for every instruction that
/// computes and a Comm for every transfer, started when their predecessors are done, and nothing measured or reported.
/// What gabra's speed is compared with. Make it after a Simulator, whose engine it shares, and before anything ran.
class BareSimGrid {
 public:
  explicit BareSimGrid(int devices);
  BareSimGrid(const BareSimGrid&) = delete;
  BareSimGrid& operator=(const BareSimGrid&) = delete;
  ~BareSimGrid();

  /// Seconds of simulated time.
  double run(const Program& program);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Activities that run() starts: instructions that compute, and transfers.
[[nodiscard]] int count_activities(const Program& program);

}  // namespace gabra::bench
