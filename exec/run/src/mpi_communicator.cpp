// SPDX-License-Identifier: MIT
#include "gabra/exec/mpi_communicator.hpp"

#include "gabra/core/check.hpp"
#include "mpi_check.hpp"
#include "mpi_collective.hpp"
#include "mpi_native.hpp"
#include "mpi_request.hpp"

#include <mpi.h>

#include <algorithm>
#include <map>
#include <vector>

namespace gabra::exec {
namespace {

/// Messages between two ranks, one tag each way: both sides start them in the order of their stream, and MPI matches
/// messages of one tag in order.
constexpr int kPairTag = 0;
constexpr int kFirstGroupTag = 1;
constexpr std::size_t kLargestMessage = std::size_t{1} << 30;

class PairTransfer final : public Communicator::Pending {
 public:
  PairTransfer(const TransferRequest& request, int peer, MPI_Comm world) : requests_(request.tensor) {
    auto* const data = static_cast<std::byte*>(request.tensor.data_ptr());
    const std::size_t bytes = request.tensor.nbytes();
    for (std::size_t at = 0; at < bytes; at += kLargestMessage) {
      const std::size_t piece = std::min(kLargestMessage, bytes - at);
      if (request.opcode == Opcode::Send)
        requests_.send(data + at, piece, peer, kPairTag, world);
      else
        requests_.receive(data + at, piece, peer, kPairTag, world);
    }
  }
  bool test() override { return requests_.are_all_done(); }

 private:
  MpiRequests requests_;
};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(const MpiWorld& world) : rank_(world.rank()), size_(world.size()) {
    check_mpi(MPI_Comm_dup(world.native().comm, &world_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(world_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  ~MpiCommunicator() override = default;  // MPI_Finalize frees the duplicate; freeing it here would wait for the others

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  void prepare(const Program& program) override;
  [[nodiscard]] std::unique_ptr<Pending> start(const TransferRequest& request) override;

 private:
  [[nodiscard]] int rank_of(DeviceId device) const;

  int rank_;
  int size_;
  MPI_Comm world_ = MPI_COMM_NULL;
  std::vector<DeviceId> devices_;  // by rank
  std::vector<std::unique_ptr<MpiGroup>> groups_;
  std::vector<const MpiGroup*> group_of_;  // by collective
};

int MpiCommunicator::rank_of(DeviceId device) const {
  return static_cast<int>(std::lower_bound(devices_.begin(), devices_.end(), device) - devices_.begin());
}

void MpiCommunicator::prepare(const Program& program) {
  if (program.devices.size() > static_cast<std::size_t>(size_))
    throw DeviceError("the plan needs " + std::to_string(program.devices.size()) + " ranks, and " +
                      std::to_string(size_) + " were started");
  devices_ = program.devices;
  groups_.clear();
  group_of_.clear();
  std::map<std::vector<DeviceId>, const MpiGroup*> known;
  for (const Collective& collective : program.collectives) {
    const MpiGroup*& group = known[collective.devices];
    if (group == nullptr) {
      groups_.push_back(std::make_unique<MpiGroup>());
      MpiGroup& made = *groups_.back();
      made.world = world_;
      made.tag = kFirstGroupTag + 2 * static_cast<int>(groups_.size() - 1);
      for (const DeviceId device : collective.devices) made.ranks.push_back(rank_of(device));
      made.own = static_cast<std::size_t>(std::find(made.ranks.begin(), made.ranks.end(), rank_) - made.ranks.begin());
      group = &made;
    }
    group_of_.push_back(group);
  }
}

std::unique_ptr<Communicator::Pending> MpiCommunicator::start(const TransferRequest& request) {
  GABRA_CHECK(request.tensor.is_contiguous(), "only contiguous tensors are sent");
  if (request.collective < 0) return std::make_unique<PairTransfer>(request, rank_of(request.peer), world_);
  const MpiGroup& group = *group_of_[static_cast<std::size_t>(request.collective)];
  GABRA_CHECK(group.own < group.ranks.size(), "this rank is no member of the collective");
  return start_all_reduce(group, request.tensor);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(const MpiWorld& world) {
  return std::make_unique<MpiCommunicator>(world);
}

}  // namespace gabra::exec
