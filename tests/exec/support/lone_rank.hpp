// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/communicator.hpp"
#include "gabra/exec/device.hpp"
#include "gabra/plan/program.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>

namespace gabra::exec {

/// The communicator of one rank of a Program whose other ranks are not there. A transfer is done when it is started, as
/// on a GPU where it is enqueued; what it does to its tensor is up to the test.
class LoneCommunicator final : public Communicator {
 public:
  using Transfer = std::function<void(const TransferRequest&)>;

  LoneCommunicator(const Program& program, int rank, Transfer transfer)
      : rank_(rank), size_(static_cast<int>(program.devices.size())), transfer_(std::move(transfer)) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  void prepare(const Program& /*program*/) override {}
  [[nodiscard]] std::unique_ptr<Pending> start(const TransferRequest& request) override {
    transfer_(request);
    return std::make_unique<Done>();
  }

 private:
  class Done final : public Pending {
   public:
    bool test() override { return true; }
  };

  int rank_;
  int size_;
  Transfer transfer_;
};

/// A GPU's device on the CPU: works run in submit(), in the Program's order, and a transfer's tensor is let go of as
/// soon as it was started.
class EnqueuingDevice final : public Device {
 public:
  EnqueuingDevice(const Program& program, Communicator& communicator)
      : program_(program), communicator_(communicator) {}

  [[nodiscard]] c10::Device torch_device() const override { return c10::Device(c10::DeviceType::CPU); }
  [[nodiscard]] bool enqueues_transfers() const override { return true; }
  void submit(Work work) override {
    if (work.compute) return work.compute();
    const Instruction& one = program_.instructions[work.instruction.index()];
    at::Tensor tensor = work.tensor();
    (void)communicator_.start({work.instruction, one.opcode, one.peer, one.collective, tensor})->test();
    work.done(std::move(tensor));
  }
  void finish() override {}
  [[nodiscard]] std::vector<Timeline::Span> spans() const override { return {}; }
  void set_recording(bool /*is_on*/) override {}
  [[nodiscard]] Bytes peak_memory() const override { return Bytes(0); }
  void reset_peak() override {}
  [[nodiscard]] const WaitNote& waiting() const override { return note_; }

 private:
  const Program& program_;
  Communicator& communicator_;
  WaitNote note_;
};

}  // namespace gabra::exec
