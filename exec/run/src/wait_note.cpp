// SPDX-License-Identifier: MIT
#include "gabra/exec/wait_note.hpp"

#include <algorithm>

namespace gabra::exec {

void WaitNote::set(std::string_view text) noexcept {
  version_.fetch_add(1, std::memory_order_acq_rel);
  const std::size_t length = std::min(text.size(), kCapacity);
  for (std::size_t i = 0; i < length; ++i) text_[i].store(text[i], std::memory_order_relaxed);
  length_.store(length, std::memory_order_relaxed);
  version_.fetch_add(1, std::memory_order_release);
}

std::size_t WaitNote::read(std::array<char, kCapacity>& out) const noexcept {
  const std::size_t before = version_.load(std::memory_order_acquire);
  if (before % 2 != 0) return 0;
  const std::size_t length = length_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < length; ++i) out[i] = text_[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  return version_.load(std::memory_order_relaxed) == before ? length : 0;
}

}  // namespace gabra::exec
