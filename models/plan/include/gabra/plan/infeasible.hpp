// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gabra {

/// What occupies a device's memory.
enum class MemoryCategory : std::uint8_t { Base, Weights, Gradients, OptimizerState, Activations, Buffers, Workspace };
inline constexpr std::size_t kMemoryCategoryCount = 7;
inline constexpr std::array<std::string_view, kMemoryCategoryCount> kMemoryCategoryNames{
    "base", "weights", "gradients", "optimizer_state", "activations", "buffers", "workspace"};
using MemoryBreakdown = std::array<Bytes, kMemoryCategoryCount>;

/// Why a plan cannot run: a value, not an exception, because a search meets thousands of them.
struct Infeasible {
  enum class Reason : std::uint8_t {
    Structure,  ///< find_faults() has some: `message` is the first
    Memory,     ///< `device` needs `required`, has `available`
    Failed,     ///< the evaluator could not evaluate it (a crash or hang of a worker or device): `message`
  };
  Reason reason = Reason::Structure;
  std::string message;  ///< for Structure and Failed
  DeviceId device;
  Bytes required;
  Bytes available;
  MemoryBreakdown breakdown{};  ///< at the peak

  /// Bytes over the limit of the worst device; the larger, the further from feasible. 0 unless Memory.
  [[nodiscard]] Bytes excess() const { return reason == Reason::Memory ? required - available : Bytes(0); }
};

}  // namespace gabra
