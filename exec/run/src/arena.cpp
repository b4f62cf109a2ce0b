// SPDX-License-Identifier: MIT
#include "arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace gabra::exec {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kStep = std::size_t{32} << 20;  // the arena grows by so much
/// A rest smaller than this stays with its block: it would serve nobody.
constexpr std::size_t kLeastRest = 256;

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

/// In front of every block.
struct alignas(kAlignment) Arena::Rim {
  std::size_t size;       // of the block with its rim
  std::size_t requested;  // 0: free
  Rim* previous;          // the block before, in memory
};

Arena::Arena(std::size_t limit) {
  // Where addresses are scarce (ulimit -v), a smaller range does.
  for (std::size_t size = rounded(limit, kStep); size >= kStep; size = rounded(size / 2, kStep)) {
    void* range = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED) {
      base_ = static_cast<std::byte*>(range);
      limit_ = size;
      // Only a hint: without huge pages it is slower.
      madvise(range, size, MADV_HUGEPAGE);
      return;
    }
    if (size == kStep) return;
  }
}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, limit_);
}

Arena::Rim* Arena::rim_of(const void* memory) {
  return static_cast<Rim*>(const_cast<void*>(memory)) - 1;  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

std::size_t Arena::size_of(const void* memory) { return rim_of(memory)->requested; }

Arena::Rim* Arena::next_of(const Rim* rim) const {
  if (rim == last_) return nullptr;
  const auto offset = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(rim) - base_);
  return reinterpret_cast<Rim*>(base_ + offset + rim->size);
}

void Arena::insert(Rim* rim) {
  rim->requested = 0;
  free_.emplace(rim->size, rim);
}

Arena::Rim* Arena::extend(std::size_t size) {
  // A free last block grows, instead of staying behind as a hole.
  const bool grows = last_ != nullptr && last_->requested == 0;
  const std::size_t begin = grows ? end_ - last_->size : end_;
  if (size > limit_ - begin) return nullptr;
  const std::size_t needed = begin + size;
  if (needed > committed_) {
    const std::size_t target = std::min(rounded(needed, kStep), limit_);
    if (mprotect(base_ + committed_, target - committed_, PROT_READ | PROT_WRITE) != 0) return nullptr;
    committed_ = target;
  }
  if (grows) {
    free_.erase({last_->size, last_});
    last_->size = size;
  } else {
    last_ = new (base_ + begin) Rim{size, 0, last_};
  }
  end_ = needed;
  return last_;
}

void Arena::split(Rim* rim, std::size_t size) {
  if (rim->size < size + sizeof(Rim) + kLeastRest) return;
  Rim* const after = next_of(rim);
  Rim* const rest = new (reinterpret_cast<std::byte*>(rim) + size) Rim{rim->size - size, 0, rim};
  rim->size = size;
  if (after == nullptr)
    last_ = rest;
  else
    after->previous = rest;
  insert(rest);
}

void* Arena::allocate(std::size_t bytes) {
  if (bytes > limit_) return nullptr;
  const std::size_t size = rounded(bytes, kAlignment) + sizeof(Rim);
  Rim* rim = nullptr;
  if (const auto found = free_.lower_bound({size, nullptr}); found != free_.end()) {
    rim = found->second;
    free_.erase(found);
    split(rim, size);
  } else {
    rim = extend(size);
    if (rim == nullptr) return nullptr;
  }
  rim->requested = bytes;
  return rim + 1;
}

void Arena::release(void* memory) {
  Rim* rim = rim_of(memory);
  if (Rim* const after = next_of(rim); after != nullptr && after->requested == 0) {
    free_.erase({after->size, after});
    if (Rim* const beyond = next_of(after); beyond != nullptr)
      beyond->previous = rim;
    else
      last_ = rim;
    rim->size += after->size;
  }
  if (Rim* const before = rim->previous; before != nullptr && before->requested == 0) {
    free_.erase({before->size, before});
    if (Rim* const beyond = next_of(rim); beyond != nullptr)
      beyond->previous = before;
    else
      last_ = before;
    before->size += rim->size;
    rim = before;
  }
  insert(rim);
}

}  // namespace gabra::exec
