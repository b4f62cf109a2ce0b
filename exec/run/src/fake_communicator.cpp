// SPDX-License-Identifier: MIT
#include "gabra/exec/fake_communicator.hpp"

#include "gabra/core/check.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace gabra::exec {

struct FakeWorld::Shared {
  /// Where the sides of one transfer meet. Once all are there, the first to ask copies or sums for everybody.
  struct Meeting {
    std::vector<at::Tensor> tensors;  // sender, receiver; or by member
    std::size_t missing = 0;
    std::size_t not_told = 0;  // sides that do not know yet that it is done
    bool is_hanging = false;
    bool is_done = false;
    double delay = 0.0;
    double complete_since = 0.0;
  };
  struct Order {
    Fault fault = Fault::Fail;
    double seconds = 0.0;
  };
  int ranks = 0;
  std::mutex mutex;
  std::map<InstructionId, Order> orders;
  std::map<std::pair<std::size_t, std::int64_t>, Meeting> meetings;  // by node and step
};

namespace {

using Meeting = FakeWorld::Shared::Meeting;

void copy(const at::Tensor& from, const at::Tensor& to) {
  GABRA_CHECK(from.nbytes() == to.nbytes(), "the sides of a transfer differ in size");
  std::memcpy(to.data_ptr(), from.data_ptr(), from.nbytes());
}

void carry_out(Meeting& meeting, bool is_collective) {
  at::Tensor& first = meeting.tensors.front();
  if (!is_collective) return copy(first, meeting.tensors.back());
  for (std::size_t i = 1; i < meeting.tensors.size(); ++i)
    add_to(first.data_ptr(), meeting.tensors[i].data_ptr(), static_cast<std::size_t>(first.numel()),
           first.scalar_type());
  for (std::size_t i = 1; i < meeting.tensors.size(); ++i) copy(first, meeting.tensors[i]);
}

class FakeCommunicator final : public Communicator {
 public:
  FakeCommunicator(std::shared_ptr<FakeWorld::Shared> shared, int rank) : shared_(std::move(shared)), rank_(rank) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return shared_->ranks; }
  void prepare(const Program& program) override {
    program_ = &program;
    uses_.assign(program.instructions.size(), 0);
  }
  [[nodiscard]] std::unique_ptr<Pending> start(const TransferRequest& request) override;

 private:
  class FakePending;
  std::shared_ptr<FakeWorld::Shared> shared_;
  int rank_;
  const Program* program_ = nullptr;
  std::vector<std::int64_t> uses_;  // of each instruction so far
};

}  // namespace

class FakeCommunicator::FakePending final : public Communicator::Pending {
 public:
  FakePending(std::shared_ptr<FakeWorld::Shared> shared, std::pair<std::size_t, std::int64_t> key, bool is_collective)
      : shared_(std::move(shared)), key_(key), is_collective_(is_collective) {}
  bool test() override {
    const std::lock_guard lock(shared_->mutex);
    const auto found = shared_->meetings.find(key_);
    Meeting& meeting = found->second;
    if (meeting.missing > 0 || meeting.is_hanging) return false;
    if (!meeting.is_done) {
      if (monotonic_seconds() < meeting.complete_since + meeting.delay) return false;
      carry_out(meeting, is_collective_);
      meeting.is_done = true;
    }
    if (--meeting.not_told == 0) shared_->meetings.erase(found);
    return true;
  }

 private:
  std::shared_ptr<FakeWorld::Shared> shared_;
  std::pair<std::size_t, std::int64_t> key_;
  bool is_collective_;
};

namespace {

std::unique_ptr<Communicator::Pending> FakeCommunicator::start(const TransferRequest& request) {
  const Instruction& one = program_->instructions[request.instruction.index()];
  const bool is_collective = request.collective >= 0;
  std::size_t sides = 2;
  std::size_t side = one.opcode == Opcode::Send ? 0 : 1;
  std::size_t node = std::min(request.instruction, one.partner).index();
  if (is_collective) {
    const Collective& collective = program_->collectives[static_cast<std::size_t>(request.collective)];
    const auto member = std::find(collective.members.begin(), collective.members.end(), request.instruction);
    sides = collective.members.size();
    side = static_cast<std::size_t>(member - collective.members.begin());
    node = collective.members.front().index();
  }
  const std::pair key(node, uses_[request.instruction.index()]++);
  const std::lock_guard lock(shared_->mutex);
  const auto [found, is_new] = shared_->meetings.try_emplace(key);
  Meeting& meeting = found->second;
  if (is_new) {
    meeting.tensors.resize(sides);
    meeting.missing = meeting.not_told = sides;
  }
  meeting.tensors[side] = request.tensor;
  if (--meeting.missing == 0) meeting.complete_since = monotonic_seconds();
  if (const auto order = shared_->orders.find(request.instruction); order != shared_->orders.end()) {
    if (order->second.fault == FakeWorld::Fault::Fail)
      throw DeviceError(fmt::format("rank {}: {} failed: told to", rank_, describe(one)));
    meeting.is_hanging |= order->second.fault == FakeWorld::Fault::Hang;
    meeting.delay = std::max(meeting.delay, order->second.seconds);
  }
  return std::make_unique<FakePending>(shared_, key, is_collective);
}

}  // namespace

FakeWorld::FakeWorld(int ranks) : shared_(std::make_shared<Shared>()) { shared_->ranks = ranks; }

FakeWorld::~FakeWorld() = default;

std::unique_ptr<Communicator> FakeWorld::communicator(int rank) {
  return std::make_unique<FakeCommunicator>(shared_, rank);
}

void FakeWorld::set_fault(InstructionId at, Fault fault, double seconds) {
  const std::lock_guard lock(shared_->mutex);
  shared_->orders[at] = {fault, seconds};
}

void FakeWorld::clear_faults() {
  const std::lock_guard lock(shared_->mutex);
  shared_->orders.clear();
}

}  // namespace gabra::exec
