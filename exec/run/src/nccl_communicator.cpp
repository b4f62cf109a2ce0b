// SPDX-License-Identifier: MIT
#ifdef GABRA_WITH_CUDA

#include "gabra/exec/nccl_communicator.hpp"

#include "check_cuda.hpp"
#include "gabra/core/check.hpp"
#include "limited_call.hpp"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nccl.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
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

constexpr int kSender = 0;
constexpr int kReceiver = 1;

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(const MpiWorld& world, const NcclOptions& options)
      : world_(world),
        place_{world.rank(), options.index},
        device_(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(options.index)),
        limit_{fmt::format("rank {}, GPU {}", place_.rank, place_.index), options.time_limit_s} {}
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
  /// Enqueues `transfer` of a tensor of `bytes` on the current stream and waits until it is done.
  void connect(const std::string& what, Bytes bytes,
               std::function<void(void* data, std::size_t bytes, cudaStream_t stream)> transfer);
  void connect_pair(const Program& program, const std::pair<DeviceId, DeviceId>& pair, ncclComm_t comm);
  void connect_group(const Program& program, const Collective& collective, ncclComm_t comm);
  void release();

  const MpiWorld& world_;
  const CudaPlace place_;
  const c10::Device device_;
  const WaitLimit limit_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
  DeviceId own_;
  std::map<Members, ncclComm_t> groups_;
  std::map<std::pair<DeviceId, DeviceId>, ncclComm_t> pairs_;  // sender, receiver
  std::vector<ncclComm_t> group_of_;                           // by collective
};

std::ptrdiff_t rank_in(const Program& program, DeviceId device) {
  return std::lower_bound(program.devices.begin(), program.devices.end(), device) - program.devices.begin();
}

std::string names_of_ranks(const Program& program, const std::vector<DeviceId>& members) {
  std::vector<std::ptrdiff_t> ranks;
  for (const DeviceId member : members) ranks.push_back(rank_in(program, member));
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

ncclComm_t NcclCommunicator::make(const Program& program, const Members& members) {
  const auto position = std::find(members.begin(), members.end(), own_) - members.begin();
  const bool is_member = position < static_cast<std::ptrdiff_t>(members.size());
  const auto made = std::make_shared<ncclComm_t>(nullptr);
  const auto call = [&world = world_, place = place_, device = device_, first = rank_in(program, members.front()),
                     count = members.size(), position, is_member, made] {
    const c10::cuda::CUDAGuard guard(device);
    ncclUniqueId id{};
    if (world.rank() == first) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId", place);
    const std::string bytes =
        world.broadcast(std::string_view(id.internal, sizeof(id.internal)), static_cast<int>(first));
    std::memcpy(id.internal, bytes.data(), sizeof(id.internal));
    if (!is_member) return;
    check_nccl(ncclCommInitRank(made.get(), static_cast<int>(count), id, static_cast<int>(position)),
               "ncclCommInitRank", place);
  };
  call_within(limit_, "the NCCL communicator of " + names_of_ranks(program, members), call);
  return *made;
}

void NcclCommunicator::connect(const std::string& what, Bytes bytes,
                               std::function<void(void*, std::size_t, cudaStream_t)> transfer) {
  const at::Tensor buffer = at::empty({bytes.value()}, at::TensorOptions(device_).dtype(c10::ScalarType::Byte));
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream(device_.index());
  call_within(limit_, what, [place = place_, device = device_, buffer, stream, transfer = std::move(transfer)] {
    const c10::cuda::CUDAGuard guard(device);
    transfer(buffer.data_ptr(), buffer.nbytes(), stream.stream());
    check_cuda(cudaStreamSynchronize(stream.stream()), "cudaStreamSynchronize", place);
  });
}

/// A small message makes all connections of a pair, whatever will be sent.
void NcclCommunicator::connect_pair(const Program& program, const std::pair<DeviceId, DeviceId>& pair,
                                    ncclComm_t comm) {
  const bool sends = pair.first == own_;
  const auto transfer = [place = place_, comm, sends](void* data, std::size_t bytes, cudaStream_t stream) {
    if (sends)
      check_nccl(ncclSend(data, bytes, ncclUint8, kReceiver, comm, stream), "ncclSend", place);
    else
      check_nccl(ncclRecv(data, bytes, ncclUint8, kSender, comm, stream), "ncclRecv", place);
  };
  constexpr Bytes kSmall(4);
  connect(
      fmt::format("a connection {} rank {}", sends ? "to" : "from", rank_in(program, sends ? pair.second : pair.first)),
      kSmall, transfer);
}

/// NCCL picks the algorithm (ring, tree, ...) by bytes and type, and connects each when it is first used: only a sum as
/// large as the Program's, in every type that it may have, makes what that will need.
void NcclCommunicator::connect_group(const Program& program, const Collective& collective, ncclComm_t comm) {
  const auto transfer = [place = place_, comm](void* data, std::size_t bytes, cudaStream_t stream) {
    for (const auto& [type, size] :
         {std::pair{ncclFloat32, sizeof(float)}, {ncclBfloat16, sizeof(float) / 2}, {ncclFloat64, sizeof(double)}})
      if (bytes >= size)
        check_nccl(ncclAllReduce(data, data, bytes / size, type, ncclSum, comm, stream), "ncclAllReduce", place);
  };
  connect("connections of " + names_of_ranks(program, collective.devices), collective.bytes, transfer);
}

/// All ranks make and connect all communicators in the Program's order, so that no two wait for each other. Later,
/// within a step, no call of NCCL waits for a peer.
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
    ncclComm_t made = make(program, {pair.first, pair.second});
    if (made == nullptr) continue;
    pairs_[pair] = made;
    connect_pair(program, pair, made);
  }
  std::set<std::pair<Members, std::int64_t>> connected;
  for (const Collective& collective : program.collectives) {
    const auto [found, is_new] = groups_.try_emplace(collective.devices, nullptr);
    if (is_new) found->second = make(program, collective.devices);
    group_of_.push_back(found->second);
    if (found->second != nullptr && connected.emplace(collective.devices, collective.bytes.value()).second)
      connect_group(program, collective, found->second);
  }
}

std::unique_ptr<Communicator::Pending> NcclCommunicator::start(const TransferRequest& request) {
  GABRA_CHECK(request.tensor.is_contiguous() && request.tensor.is_cuda(), "only contiguous tensors on a GPU are sent");
  cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device_.index()).stream();
  void* const data = request.tensor.data_ptr();
  const auto count = static_cast<std::size_t>(request.tensor.numel());
  const ncclDataType_t type = nccl_type(request.tensor.scalar_type());
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

std::unique_ptr<Communicator> make_nccl_communicator(const MpiWorld& world, const NcclOptions& options) {
  return std::make_unique<NcclCommunicator>(world, options);
}

}  // namespace gabra::exec

#endif
