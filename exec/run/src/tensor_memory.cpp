// SPDX-License-Identifier: MIT
#include "gabra/exec/tensor_memory.hpp"

#include "arena.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

namespace gabra::exec {
namespace {

std::size_t physical_memory() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

class ArenaAllocator final : public c10::Allocator {
 public:
  ArenaAllocator() : arena_(2 * physical_memory()) {}

  c10::DataPtr allocate(std::size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &forget, cpu};
    void* memory = nullptr;
    {
      const std::lock_guard lock(mutex_);
      memory = arena_.allocate(bytes);
      if (memory != nullptr) {
        in_use_ += bytes;
        peak_ = std::max(peak_, in_use_);
      }
    }
    TORCH_CHECK_WITH(OutOfMemoryError, memory != nullptr, "no memory for a tensor of ", bytes, " bytes; ", in_use_,
                     " bytes are in use");
    report(memory, static_cast<std::int64_t>(bytes));
    return {memory, memory, &forget, cpu};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &forget; }
  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    std::memcpy(target, source, bytes);
  }

  void release(void* memory) {
    const std::size_t bytes = Arena::size_of(memory);
    {
      const std::lock_guard lock(mutex_);
      in_use_ -= bytes;
      arena_.release(memory);
    }
    report(memory, -static_cast<std::int64_t>(bytes));
  }
  [[nodiscard]] std::size_t in_use() const {
    const std::lock_guard lock(mutex_);
    return in_use_;
  }
  [[nodiscard]] std::size_t peak() const {
    const std::lock_guard lock(mutex_);
    return peak_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }
  [[nodiscard]] std::size_t kept() const {
    const std::lock_guard lock(mutex_);
    return arena_.committed();
  }

  static void forget(void* memory);

 private:
  /// To who looks on in this thread, as LibTorch's own allocators do.
  void report(void* memory, std::int64_t bytes) const {
    if (c10::memoryProfilingEnabled())
      c10::reportMemoryUsageToProfiler(memory, bytes, in_use(), kept(), c10::Device(c10::DeviceType::CPU));
  }

  mutable std::mutex mutex_;
  Arena arena_;
  std::size_t in_use_ = 0;
  std::size_t peak_ = 0;
};

/// LibTorch frees tensors through a plain function until the process ends, so the allocator is the process's and is
/// never destroyed.
ArenaAllocator& process_allocator() {
  static auto* const allocator = new ArenaAllocator();
  return *allocator;
}

std::atomic<bool> is_installed{false};

void ArenaAllocator::forget(void* memory) {
  if (memory != nullptr) process_allocator().release(memory);
}

Bytes bytes_of(std::size_t value) { return Bytes(static_cast<std::int64_t>(value)); }

}  // namespace

void TensorMemory::install() {
  if (is_installed.exchange(true)) return;
  constexpr int kKept = 1 << 30;
  // What libraries take from malloc(), oneDNN's scratch memory above all, is kept as well.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kKept);
  constexpr std::uint8_t kOverDefault = 1;
  c10::SetCPUAllocator(&process_allocator(), kOverDefault);
}

Bytes TensorMemory::in_use() { return is_installed ? bytes_of(process_allocator().in_use()) : Bytes(); }
Bytes TensorMemory::peak() { return is_installed ? bytes_of(process_allocator().peak()) : Bytes(); }
Bytes TensorMemory::kept() { return is_installed ? bytes_of(process_allocator().kept()) : Bytes(); }
void TensorMemory::reset_peak() {
  if (is_installed) process_allocator().reset_peak();
}

}  // namespace gabra::exec
