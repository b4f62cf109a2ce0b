// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"

#include <cstdint>
#include <memory>

namespace gabra::exec {

/// Ranks that are threads of one process, for tests: a transfer is a copy, a collective a sum in the order of members.
/// May be told to misbehave at an instruction.
class FakeWorld {
 public:
  enum class Fault : std::uint8_t {
    Fail,   ///< start() throws DeviceError
    Hang,   ///< never done, neither for this rank nor for its partners
    Delay,  ///< done `seconds` after all sides are there
  };

  explicit FakeWorld(int ranks);
  ~FakeWorld();

  /// The communicator of one rank; it may outlive the world.
  [[nodiscard]] std::unique_ptr<Communicator> communicator(int rank);
  void set_fault(InstructionId at, Fault fault, double seconds = 0.0);
  void clear_faults();

  struct Shared;

 private:
  std::shared_ptr<Shared> shared_;  // with the communicators
};

}  // namespace gabra::exec
