// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/fake_communicator.hpp"
#include "gabra/plan/program.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace gabra::exec {

/// A rank without a model: every instruction of its part of a Program does what `compute` says, and every transfer
/// moves a tensor of the rank's own number.
class ToyRank {
 public:
  ToyRank(const Program& program, FakeWorld& world, int rank, const CpuDeviceOptions& options)
      : program_(program), rank_(rank), communicator_(world.communicator(rank)) {
    communicator_->prepare(program);
    device_ = make_cpu_device(program, *communicator_, options);
    device_->set_recording(true);
  }

  Device& device() { return *device_; }
  /// Called in each instruction of a stream that computes.
  std::function<void(InstructionId)> compute = [](InstructionId) {};
  /// Order in which instructions were begun (tensor asked for, or computed) and ended, by any thread.
  [[nodiscard]] bool has_begun(InstructionId id) const { return contains(begun_, id); }
  [[nodiscard]] bool has_ended(InstructionId id) const { return contains(ended_, id); }
  [[nodiscard]] const std::vector<InstructionId>& begun() const { return begun_; }
  /// What a Receive got or a collective summed to.
  [[nodiscard]] const std::map<InstructionId, double>& results() const { return results_; }

  void run_step() {
    begun_.clear();
    ended_.clear();
    const DeviceId own = program_.devices[static_cast<std::size_t>(rank_)];
    for (std::size_t i = 0; i < program_.instructions.size(); ++i)
      if (program_.instructions[i].device == own) device_->submit(work(InstructionId(i)));
    device_->finish();
  }

 private:
  [[nodiscard]] bool contains(const std::vector<InstructionId>& list, InstructionId id) const {
    const std::lock_guard lock(mutex_);
    return std::find(list.begin(), list.end(), id) != list.end();
  }
  void note(std::vector<InstructionId>& list, InstructionId id) {
    const std::lock_guard lock(mutex_);
    list.push_back(id);
  }

  Work work(InstructionId id) {
    const Instruction& one = program_.instructions[id.index()];
    Work work;
    work.instruction = id;
    for (const InstructionId before : program_.predecessors.of(id))
      if (program_.instructions[before.index()].stream != one.stream) work.after.push_back(before);
    const StreamKind kind = program_.streams[one.stream.index()].kind;
    if (kind == StreamKind::Load || kind == StreamKind::Compute) {
      work.compute = [this, id] {
        note(begun_, id);
        compute(id);
        note(ended_, id);
      };
      return work;
    }
    work.tensor = [this, id] {
      note(begun_, id);
      return at::full({16}, static_cast<double>(rank_ + 1), at::kFloat);
    };
    work.done = [this, id](const at::Tensor& tensor) {
      note(ended_, id);
      const std::lock_guard lock(mutex_);
      results_[id] = tensor.select(0, 7).item<double>();
    };
    return work;
  }

  const Program& program_;
  int rank_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Device> device_;
  mutable std::mutex mutex_;
  std::vector<InstructionId> begun_, ended_;
  std::map<InstructionId, double> results_;
};

/// Each rank in a thread of its own; what a rank threw by rank, empty where it came through.
inline std::vector<std::string> run_all(std::vector<std::unique_ptr<ToyRank>>& ranks) {
  std::vector<std::string> errors(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      try {
        ranks[r]->run_step();
      } catch (const std::exception& error) {
        errors[r] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace gabra::exec
