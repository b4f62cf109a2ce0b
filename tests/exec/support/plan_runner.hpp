// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/interpreter.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "support/random_batch.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// The random batches of steps 0, 1, ...: what ReferenceTrainer is given, as a BatchSource.
class RandomSource final : public BatchSource {
 public:
  RandomSource(const Problem& problem, std::int64_t micro_batches, std::int64_t steps);
  [[nodiscard]] std::vector<at::Tensor> inputs(std::int64_t step, std::int64_t micro_batch) override;
  [[nodiscard]] at::Tensor target(std::int64_t step, std::int64_t micro_batch) override;
  [[nodiscard]] const RandomBatch& batch(std::int64_t step) const { return batches_[static_cast<std::size_t>(step)]; }

 private:
  std::vector<RandomBatch> batches_;
};

/// A Communicator that notes what its rank moved: the bytes of every transfer it started in the last step.
class NotingCommunicator final : public Communicator {
 public:
  explicit NotingCommunicator(Communicator& inner) : inner_(inner) {}
  [[nodiscard]] int rank() const override { return inner_.rank(); }
  [[nodiscard]] int size() const override { return inner_.size(); }
  void prepare(const Program& program) override { inner_.prepare(program); }
  [[nodiscard]] std::unique_ptr<Pending> start(const TransferRequest& request) override;
  void forget() { bytes_.clear(); }
  [[nodiscard]] const std::map<InstructionId, std::int64_t>& bytes() const { return bytes_; }

 private:
  Communicator& inner_;
  std::map<InstructionId, std::int64_t> bytes_;
};

/// The Program of a plan; ends the test program where it has none.
[[nodiscard]] Program compile_or_die(const Problem& problem, const Plan& plan);

}  // namespace gabra::exec
