// SPDX-License-Identifier: MIT
#pragma once

namespace gabra::exec {

/// How disturbed the core of this rank is, told by a fixed piece of arithmetic that needs nothing but the core.
///
/// Virtual machines share physical cores: what other guests do makes everything 10 to 20 % slower for seconds at a
/// time, and no counter in the guest shows it (steal time is 0). A step and the gauge right before and after it are
/// slowed alike, and the gauge does not depend on the plan: steps can be chosen by it without looking at their times.
class LoadGauge {
 public:
  /// Time of the piece of work over the shortest that this process ever took for it: 1 is undisturbed. About 1 ms.
  [[nodiscard]] double slowness();

 private:
  double shortest_ = 0.0;
};

}  // namespace gabra::exec
