// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace gabra::cli {

/// Standard error of mpirun and its ranks on its way to a person: what mpirun says in a frame of dashes about a rank
/// that ended is left out, but remembered, and so is what it says of its own parts; everything else passes at once.
class MpirunMessages {
 public:
  /// What to print of the next piece.
  [[nodiscard]] std::string pass(std::string_view piece);
  /// At the end: what was held back and is no frame.
  [[nodiscard]] std::string rest();
  /// "rank 1 on node7 was ended by signal 9 (Killed)"; empty when mpirun named none.
  [[nodiscard]] const std::string& ended_rank() const { return ended_rank_; }
  /// The machines, or the allocation, have fewer slots than ranks: nothing was started. The frame is left out.
  [[nodiscard]] bool lacks_slots() const { return lacks_slots_; }
  /// A machine, or what mpirun runs on it, is gone.
  [[nodiscard]] bool has_lost_machine() const { return has_lost_machine_; }
  /// A machine that mpirun reaches not at all, or not well enough: nothing was started. The frame is left out.
  [[nodiscard]] bool cannot_start() const { return cannot_start_; }

 private:
  [[nodiscard]] std::string end_frame();

  std::string line_;   // the beginning of a line that may be a frame's
  std::string frame_;  // lines since its upper edge
  bool is_in_frame_ = false;
  std::string ended_rank_;
  bool lacks_slots_ = false;
  bool has_lost_machine_ = false;
  bool cannot_start_ = false;
};

}  // namespace gabra::cli
