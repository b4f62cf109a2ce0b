// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/ids.hpp"
#include "gabra/plan/program.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// A device or its communication failed; names the rank, the peer and the instruction. Exit status 3.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// A device has no room for what it is given, and will not have it the next time either.
class DeviceMemoryError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// One transfer as a Communicator sees it.
struct TransferRequest {
  InstructionId instruction;
  Opcode opcode = Opcode::Send;  ///< Send, Receive, AllReduce, CombineStatistics, ClipNorm
  DeviceId peer;                 ///< Send, Receive
  std::int32_t collective = -1;  ///< index into Program::collectives; sums in place
  at::Tensor tensor;             ///< contiguous
};

/// Moves tensors between the ranks of one Program; rank r is Program::devices[r]. Transfers on one stream of the
/// Program are started in stream order on both sides, one at a time; those of different streams may overlap.
///
/// On CPU ranks start() returns at once and test() drives the transfer; both are called from one thread. On CUDA,
/// start() enqueues on the current stream, and test() is always true: completion is a matter of stream order.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  class Pending {
   public:
    Pending() = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    virtual ~Pending() = default;
    /// Whether it is done; drives it. Throws DeviceError.
    virtual bool test() = 0;
  };

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Prepares what `program` needs (communicators of its groups and pairs). Collective over all ranks.
  virtual void prepare(const Program& program) = 0;
  [[nodiscard]] virtual std::unique_ptr<Pending> start(const TransferRequest& request) = 0;
  /// Throws DeviceError if something failed behind start(): on CUDA, where test() says nothing.
  virtual void check_health() {}
};

}  // namespace gabra::exec
