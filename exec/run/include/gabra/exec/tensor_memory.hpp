// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"

namespace gabra::exec {

/// The process's memory for CPU tensors: counted, 64-byte aligned, in huge pages where the system gives them, and kept
/// when a tensor is freed (giving memory back to the system and faulting it in again costs a training step 5 to 20 %).
/// Best fit with coalescing in one reserved range of addresses, so what is kept is the peak of what was in use plus
/// little. malloc() is told to keep its memory too. Safe from several threads.
class TensorMemory {
 public:
  /// Makes it LibTorch's CPU allocator, once; call before the first large tensor. Tensors made earlier stay valid.
  static void install();

  [[nodiscard]] static Bytes in_use();  ///< of tensors alive now; 0 until installed
  [[nodiscard]] static Bytes peak();    ///< most since reset_peak()
  static void reset_peak();
  [[nodiscard]] static Bytes kept();  ///< taken from the system: tensors alive, free blocks and their rims
};

}  // namespace gabra::exec
