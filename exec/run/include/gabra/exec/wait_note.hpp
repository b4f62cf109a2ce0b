// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace gabra::exec {

/// What a rank waits for right now, as text that a signal handler may read: "Receive tensor 3 stage 2 micro-batch 3
/// from rank 1". One thread writes at a time; any thread or signal handler reads, without locks. A reader that meets
/// a writer gets the empty text.
class WaitNote {
 public:
  static constexpr std::size_t kCapacity = 192;

  /// Cut after kCapacity characters.
  void set(std::string_view text) noexcept;
  void clear() noexcept { set({}); }
  /// Copies the text into `out` (no terminating zero) and returns its length; 0: nothing is waited for.
  [[nodiscard]] std::size_t read(std::array<char, kCapacity>& out) const noexcept;

 private:
  static_assert(std::atomic<char>::is_always_lock_free && std::atomic<std::size_t>::is_always_lock_free);
  std::atomic<std::size_t> version_{0};  // odd while it is written
  std::atomic<std::size_t> length_{0};
  std::array<std::atomic<char>, kCapacity> text_{};
};

}  // namespace gabra::exec
