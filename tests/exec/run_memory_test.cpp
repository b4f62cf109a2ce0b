// SPDX-License-Identifier: MIT
#include "arena.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/exec/wait_note.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace gabra::exec {
namespace {

TEST(RunMemory, FreedBlocksJoinAndServeAgain) {
  Arena arena(std::size_t{1} << 30);
  void* const a = arena.allocate(100000);
  void* const b = arena.allocate(200000);
  void* const c = arena.allocate(300000);
  void* const d = arena.allocate(64);
  const std::size_t committed = arena.committed();
  arena.release(a);
  arena.release(c);
  arena.release(b);  // joins all three
  EXPECT_EQ(arena.allocate(600000), a);
  EXPECT_EQ(arena.committed(), committed);
  EXPECT_EQ(Arena::size_of(d), 64U);
}

TEST(RunMemory, RandomBlocksNeverOverlap) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Rng rng(kSeed);
  Arena arena(std::size_t{1} << 28);
  struct Block {
    unsigned char* memory;
    std::size_t bytes;
    unsigned char mark;
  };
  std::vector<Block> live;
  for (int i = 0; i < 20000; ++i) {
    if (live.empty() || (rng.chance(0.52) && live.size() < 200)) {
      const auto bytes = static_cast<std::size_t>(rng.between(1, rng.chance(0.1) ? 100000 : 3000));
      auto* const memory = static_cast<unsigned char*>(arena.allocate(bytes));
      ASSERT_NE(memory, nullptr);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0U);
      const auto mark = static_cast<unsigned char>(rng.below(256));
      std::memset(memory, mark, bytes);
      live.push_back({memory, bytes, mark});
    } else {
      std::swap(live[rng.below(live.size())], live.back());
      const Block block = live.back();
      live.pop_back();
      ASSERT_EQ(Arena::size_of(block.memory), block.bytes);
      for (std::size_t k = 0; k < block.bytes; ++k) ASSERT_EQ(block.memory[k], block.mark);
      arena.release(block.memory);
    }
  }
}

TEST(RunMemory, AnArenaThatIsFullSaysSo) {
  Arena arena(std::size_t{64} << 20);
  EXPECT_EQ(arena.allocate(std::size_t{65} << 20), nullptr);
  void* const half = arena.allocate(std::size_t{40} << 20);
  ASSERT_NE(half, nullptr);
  EXPECT_EQ(arena.allocate(std::size_t{40} << 20), nullptr);
  arena.release(half);
  EXPECT_NE(arena.allocate(std::size_t{40} << 20), nullptr);
}

TEST(RunMemory, TensorsAreCounted) {
  TensorMemory::install();
  const Bytes before = TensorMemory::in_use();
  TensorMemory::reset_peak();
  {
    const at::Tensor small = at::empty({1000}, at::kFloat);
    { const at::Tensor large = at::ones({3000000}, at::kByte); }
    EXPECT_EQ(TensorMemory::in_use() - before, Bytes(4000));
  }
  EXPECT_EQ(TensorMemory::in_use(), before);
  EXPECT_EQ(TensorMemory::peak() - before, Bytes(3004000));
  EXPECT_GE(TensorMemory::kept(), Bytes(3004000));
  TensorMemory::reset_peak();
  EXPECT_EQ(TensorMemory::peak(), before);
}

TEST(RunMemory, AWaitNoteIsReadWholeOrNotAtAll) {
  WaitNote note;
  std::array<char, WaitNote::kCapacity> text{};
  EXPECT_EQ(note.read(text), 0U);
  note.set("Receive from rank 1");
  EXPECT_EQ(std::string(text.data(), note.read(text)), "Receive from rank 1");
  note.set("a");
  std::atomic<bool> is_over = false;
  std::jthread writer([&] {
    for (int i = 0; i < 20000; ++i)
      note.set(std::string(static_cast<std::size_t>(1 + i % 150), i % 2 == 0 ? 'a' : 'b'));
    is_over = true;
  });
  while (!is_over) {
    const std::size_t length = note.read(text);
    for (std::size_t k = 1; k < length; ++k) ASSERT_EQ(text[k], text[0]);
  }
  writer.join();
  note.set(std::string(1000, 'x'));
  EXPECT_EQ(note.read(text), WaitNote::kCapacity);
  note.clear();
  EXPECT_EQ(note.read(text), 0U);
}

}  // namespace
}  // namespace gabra::exec
