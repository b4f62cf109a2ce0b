// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

namespace gabra::exec {

/// One reserved range of addresses, handed out in blocks: best fit, free neighbours joined. Grows at its end and never
/// gives memory back. Every block is 64-byte aligned, with a rim of 64 bytes in front. Not safe from several threads.
class Arena {
 public:
  /// Reserves addresses for up to `limit` bytes; none are used yet. An arena of limit 0 has no memory.
  explicit Arena(std::size_t limit);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// `bytes` > 0; nullptr when the range or the system has no more.
  [[nodiscard]] void* allocate(std::size_t bytes);
  void release(void* memory);
  /// What allocate() was asked for.
  [[nodiscard]] static std::size_t size_of(const void* memory);
  [[nodiscard]] std::size_t committed() const { return committed_; }

 private:
  struct Rim;
  static Rim* rim_of(const void* memory);
  [[nodiscard]] Rim* next_of(const Rim* rim) const;
  [[nodiscard]] Rim* extend(std::size_t size);
  void insert(Rim* rim);
  void split(Rim* rim, std::size_t size);

  std::byte* base_ = nullptr;
  std::size_t limit_ = 0;
  std::size_t committed_ = 0;  // readable and writable bytes from base_
  std::size_t end_ = 0;        // end of the last block
  Rim* last_ = nullptr;        // block before end_
  std::set<std::pair<std::size_t, Rim*>> free_;
};

}  // namespace gabra::exec
