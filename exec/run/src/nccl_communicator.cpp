// SPDX-License-Identifier: MIT
#ifdef GABRA_WITH_CUDA

#include "gabra/exec/nccl_communicator.hpp"

#include "check_cuda.hpp"
#include "gabra/core/check.hpp"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <utility>
#include <vector>

namespace gabra::exec {
namespace {

/// Throws DeviceError with the call, NCCL's text of the code and its last words, and the rank, unless `code` is
/// ncclSuccess. The one place where a code of NCCL becomes an error.
void check_nccl(ncclResult_t code, const char* call, CudaPlace place) {
  if (code == ncclSuccess) return;
  throw DeviceError(fmt::format("rank {}, GPU {}: {} failed: {} (code {}); {}", place.rank, place.index, call,
                                ncclGetErrorString(code), static_cast<int>(code), ncclGetLastError(nullptr)));
}

ncclDataType_t nccl_type(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float:
      return ncclFloat32;
    case c10::ScalarType::Double:
      return ncclFloat64;
    case c10::ScalarType::BFloat16:
      return ncclBfloat16;
    default:
      GABRA_CHECK(false, "only float32, float64 and bfloat16 are sent");
  }
  return ncclFloat32;
}

/// Everything is enqueued: completion is a matter of stream order.
class Enqueued final : public Communicator::Pending {
 public:
  bool test() override { return true; }
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(const MpiWorld& world, c10::Device device)
      : world_(world), place_{world.rank(), static_cast<int>(device.index())}, device_(device) {}
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;
  ~NcclCommunicator() override { release(); }

  [[nodiscard]] int rank() const override { return world_.rank(); }
  [[nodiscard]] int size() const override { return world_.size(); }
  void prepare(const Program& program) override;
  [[nodiscard]] std::unique_ptr<Pending> start(const TransferRequest& request) override;
  void check_health() override;

 private:
  using Members = std::vector<DeviceId>;
  /// The communicator of `members` in their order; null where this rank is none of them. Collective over the world.
  ncclComm_t make(const Program& program, const Members& members);
  void release();

  const MpiWorld& world_;
  const CudaPlace place_;
  const c10::Device device_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
  DeviceId own_;
  std::map<Members, ncclComm_t> groups_;
  std::map<std::pair<DeviceId, DeviceId>, ncclComm_t> pairs_;  // sender, receiver
  std::vector<ncclComm_t> group_of_;                           // by collective
};

ncclComm_t NcclCommunicator::make(const Program& program, const Members& members) {
  const auto rank_of = [&](DeviceId device) {
    return static_cast<int>(std::lower_bound(program.devices.begin(), program.devices.end(), device) -
                            program.devices.begin());
  };
  const int first = rank_of(members.front());
  ncclUniqueId id{};
  if (world_.rank() == first) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId", place_);
  const std::string bytes = world_.broadcast(std::string_view(id.internal, sizeof(id.internal)), first);
  std::memcpy(id.internal, bytes.data(), sizeof(id.internal));
  const auto position = std::find(members.begin(), members.end(), own_);
  if (position == members.end()) return nullptr;
  ncclComm_t made = nullptr;
  check_nccl(
      ncclCommInitRank(&made, static_cast<int>(members.size()), id, static_cast<int>(position - members.begin())),
      "ncclCommInitRank", place_);
  return made;
}

/// All ranks make all communicators in the Program's order, so that no two wait for each other.
void NcclCommunicator::prepare(const Program& program) {
  if (program.devices.size() > static_cast<std::size_t>(size()))
    throw DeviceError(fmt::format("the plan needs {} ranks, and {} were started", program.devices.size(), size()));
  const c10::cuda::CUDAGuard guard(device_);
  release();
  const auto own = static_cast<std::size_t>(rank());
  own_ = own < program.devices.size() ? program.devices[own] : DeviceId();
  for (const Stream& stream : program.streams) {
    if (stream.kind != StreamKind::Send) continue;
    const std::pair pair(stream.device, stream.peer);
    if (ncclComm_t made = make(program, {pair.first, pair.second}); made != nullptr) pairs_[pair] = made;
  }
  for (const Collective& collective : program.collectives) {
    const auto [found, is_new] = groups_.try_emplace(collective.devices, nullptr);
    if (is_new) found->second = make(program, collective.devices);
    group_of_.push_back(found->second);
  }
}

std::unique_ptr<Communicator::Pending> NcclCommunicator::start(const TransferRequest& request) {
  GABRA_CHECK(request.tensor.is_contiguous() && request.tensor.is_cuda(), "only contiguous tensors on a GPU are sent");
  cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device_.index()).stream();
  void* const data = request.tensor.data_ptr();
  const auto count = static_cast<std::size_t>(request.tensor.numel());
  const ncclDataType_t type = nccl_type(request.tensor.scalar_type());
  constexpr int kSender = 0;
  constexpr int kReceiver = 1;
  if (request.opcode == Opcode::Send) {
    check_nccl(ncclSend(data, count, type, kReceiver, pairs_.at({own_, request.peer}), stream), "ncclSend", place_);
  } else if (request.opcode == Opcode::Receive) {
    check_nccl(ncclRecv(data, count, type, kSender, pairs_.at({request.peer, own_}), stream), "ncclRecv", place_);
  } else {
    ncclComm_t group = group_of_[static_cast<std::size_t>(request.collective)];
    check_nccl(ncclAllReduce(data, data, count, type, ncclSum, group, stream), "ncclAllReduce", place_);
  }
  return std::make_unique<Enqueued>();
}

void NcclCommunicator::check_health() {
  const auto check = [this](ncclComm_t comm) {
    if (comm == nullptr) return;
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(comm, &state), "ncclCommGetAsyncError", place_);
    check_nccl(state == ncclInProgress ? ncclSuccess : state, "a transfer", place_);
  };
  for (const auto& [members, comm] : groups_) check(comm);
  for (const auto& [pair, comm] : pairs_) check(comm);
}

/// After a fault the others may be gone: nothing is waited for.
void NcclCommunicator::release() {
  const bool has_failed = std::uncaught_exceptions() > exceptions_at_start_;
  const auto end = [has_failed](ncclComm_t comm) {
    if (comm != nullptr) has_failed ? ncclCommAbort(comm) : ncclCommDestroy(comm);
  };
  for (const auto& [members, comm] : groups_) end(comm);
  for (const auto& [pair, comm] : pairs_) end(comm);
  groups_.clear();
  pairs_.clear();
  group_of_.clear();
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(const MpiWorld& world, c10::Device device) {
  return std::make_unique<NcclCommunicator>(world, device);
}

}  // namespace gabra::exec

#endif
