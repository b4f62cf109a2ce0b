// SPDX-License-Identifier: MIT
#include "mpi_collective.hpp"

#include "mpi_request.hpp"
#include "sum.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <deque>

namespace gabra::exec {
namespace {

/// What is added stays in the cache beside its sum. Of 64 kB to 1 MB measured, 128 to 256 kB are fastest.
constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
/// Up to this size everybody sends everything to everybody: one message time instead of two.
constexpr std::size_t kSmallBytes = std::size_t{32} << 10;
constexpr std::size_t kChunksAhead = 4;  // receives posted ahead, from each member

/// Everybody's tensor to everybody, added in the order of members.
class SmallAllReduce final : public Communicator::Pending {
 public:
  SmallAllReduce(const MpiGroup& group, const at::Tensor& tensor)
      : group_(group),
        tensor_(tensor),
        parts_(at::empty({static_cast<std::int64_t>(group.ranks.size()), tensor.numel()}, tensor.options())),
        requests_(parts_) {
    const std::size_t bytes = tensor.nbytes();
    std::memcpy(part(group.own), tensor.data_ptr(), bytes);
    for (std::size_t i = 0; i < group.ranks.size(); ++i) {
      if (i == group.own) continue;
      requests_.receive(part(i), bytes, group.ranks[i], group.tag, group.world);
      requests_.send(part(group.own), bytes, group.ranks[i], group.tag, group.world);
    }
  }
  bool test() override {
    if (!requests_.are_all_done()) return false;
    const auto count = static_cast<std::size_t>(tensor_.numel());
    std::memcpy(tensor_.data_ptr(), part(0), tensor_.nbytes());
    for (std::size_t i = 1; i < group_.ranks.size(); ++i)
      add_to(tensor_.data_ptr(), part(i), count, tensor_.scalar_type());
    return true;
  }

 private:
  [[nodiscard]] std::byte* part(std::size_t member) {
    return static_cast<std::byte*>(parts_.data_ptr()) + member * tensor_.nbytes();
  }

  const MpiGroup& group_;
  at::Tensor tensor_;
  at::Tensor parts_;
  MpiRequests requests_;
};

/// Every member sums one slice and sends it to the others, chunk by chunk, so that sums go out while later chunks come
/// in. A chunk of another's slice is received over memory that was sent to it before, so only after that send.
class SlicedAllReduce final : public Communicator::Pending {
 public:
  SlicedAllReduce(const MpiGroup& group, const at::Tensor& tensor);
  bool test() override;

 private:
  struct Chunk {
    std::size_t offset, bytes;
  };
  /// Another member, in the cyclic order from this one.
  struct Peer {
    int rank = 0;
    std::vector<Chunk> slice;           // that it sums
    std::vector<std::size_t> sends;     // requests, by chunk of its slice
    std::size_t next_result = 0;        // chunk of its slice to receive next
    std::deque<std::size_t> receiving;  // requests of chunks of the own slice, from next_ on
    std::byte* parts = nullptr;         // kChunksAhead chunks
    std::size_t posted = 0;             // chunks of the own slice
  };
  [[nodiscard]] std::vector<Chunk> slice_of(std::size_t member) const;
  void post_parts(Peer& peer);
  bool sum_next();
  bool receive_results(Peer& peer);

  const MpiGroup& group_;
  at::Tensor tensor_;
  at::Tensor parts_;
  std::size_t element_;
  std::byte* data_;
  MpiRequests requests_;         // over tensor_
  MpiRequests part_requests_;    // over parts_
  std::vector<Chunk> own_;       // slice
  std::size_t next_ = 0;         // chunk of the own slice to sum next
  std::size_t summed_from_ = 0;  // peers already added to it
  std::vector<Peer> peers_;
};

SlicedAllReduce::SlicedAllReduce(const MpiGroup& group, const at::Tensor& tensor)
    : group_(group),
      tensor_(tensor),
      parts_(at::empty({static_cast<std::int64_t>((group.ranks.size() - 1) * kChunksAhead * kChunkBytes)},
                       tensor.options().dtype(at::kByte))),
      element_(static_cast<std::size_t>(tensor.element_size())),
      data_(static_cast<std::byte*>(tensor.data_ptr())),
      requests_(tensor),
      part_requests_(parts_),
      own_(slice_of(group.own)) {
  const std::size_t members = group.ranks.size();
  for (std::size_t i = 1; i < members; ++i) {
    const std::size_t member = (group.own + i) % members;
    Peer& peer = peers_.emplace_back();
    peer.rank = group.ranks[member];
    peer.slice = slice_of(member);
    peer.parts = static_cast<std::byte*>(parts_.data_ptr()) + (i - 1) * kChunksAhead * kChunkBytes;
    for (std::size_t c = 0; c < std::min(kChunksAhead, own_.size()); ++c) post_parts(peer);
  }
  for (Peer& peer : peers_)
    for (const Chunk& chunk : peer.slice)
      peer.sends.push_back(requests_.send(data_ + chunk.offset, chunk.bytes, peer.rank, group.tag, group.world));
}

std::vector<SlicedAllReduce::Chunk> SlicedAllReduce::slice_of(std::size_t member) const {
  const auto count = static_cast<std::size_t>(tensor_.numel());
  const std::size_t begin = count * member / group_.ranks.size() * element_;
  const std::size_t end = count * (member + 1) / group_.ranks.size() * element_;
  std::vector<Chunk> chunks;
  for (std::size_t at = begin; at < end; at += kChunkBytes) chunks.push_back({at, std::min(kChunkBytes, end - at)});
  return chunks;
}

void SlicedAllReduce::post_parts(Peer& peer) {
  std::byte* const part = peer.parts + peer.posted % kChunksAhead * kChunkBytes;
  peer.receiving.push_back(part_requests_.receive(part, own_[peer.posted].bytes, peer.rank, group_.tag, group_.world));
  ++peer.posted;
}

/// Adds the next peer's part of the next chunk, if it is there.
bool SlicedAllReduce::sum_next() {
  if (next_ == own_.size()) return false;
  Peer& peer = peers_[summed_from_];
  if (!part_requests_.is_done(peer.receiving.front())) return false;
  peer.receiving.pop_front();
  const Chunk& chunk = own_[next_];
  add_to(data_ + chunk.offset, peer.parts + next_ % kChunksAhead * kChunkBytes, chunk.bytes / element_,
         tensor_.scalar_type());
  if (peer.posted < own_.size()) post_parts(peer);
  if (++summed_from_ < peers_.size()) return true;
  summed_from_ = 0;
  ++next_;
  for (const Peer& other : peers_)
    requests_.send(data_ + chunk.offset, chunk.bytes, other.rank, group_.tag + 1, group_.world);
  return true;
}

/// Receives sums over what has been sent.
bool SlicedAllReduce::receive_results(Peer& peer) {
  if (peer.next_result == peer.slice.size() || !requests_.is_done(peer.sends[peer.next_result])) return false;
  const Chunk& chunk = peer.slice[peer.next_result++];
  requests_.receive(data_ + chunk.offset, chunk.bytes, peer.rank, group_.tag + 1, group_.world);
  return true;
}

bool SlicedAllReduce::test() {
  bool has_moved = true;
  while (has_moved) {
    has_moved = sum_next();
    for (Peer& peer : peers_) has_moved |= receive_results(peer);
  }
  if (next_ < own_.size()) return false;
  for (const Peer& peer : peers_)
    if (peer.next_result < peer.slice.size()) return false;
  return requests_.are_all_done();
}

}  // namespace

std::unique_ptr<Communicator::Pending> start_all_reduce(const MpiGroup& group, const at::Tensor& tensor) {
  if (tensor.nbytes() <= kSmallBytes) return std::make_unique<SmallAllReduce>(group, tensor);
  return std::make_unique<SlicedAllReduce>(group, tensor);
}

}  // namespace gabra::exec
