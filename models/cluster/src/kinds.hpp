// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/cluster/device_kind.hpp"
#include "gabra/core/units.hpp"

#include <cstdint>

namespace gabra::detail {

constexpr Bytes gibibytes(std::int64_t amount) { return Bytes(amount << 30); }

// Device kinds of the presets; every figure's source or fit stands in `source`.
[[nodiscard]] DeviceKind v100_kind();
[[nodiscard]] DeviceKind a100_kind();
[[nodiscard]] DeviceKind h100_kind();
[[nodiscard]] DeviceKind h200_kind();
[[nodiscard]] DeviceKind p40_kind();
[[nodiscard]] DeviceKind rtx_2080_ti_kind();
[[nodiscard]] DeviceKind rtx_3090_kind();
[[nodiscard]] DeviceKind cpu_kind();

}  // namespace gabra::detail
