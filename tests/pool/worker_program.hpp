// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"

namespace gabra::test {

// Bucket sizes that make worker_program misbehave.
inline constexpr Bytes kCrashingBucket{1'000'001};
inline constexpr Bytes kKilledBucket{1'000'002};
inline constexpr Bytes kLeavingBucket{1'000'003};
inline constexpr Bytes kHangingBucket{1'000'004};
inline constexpr Bytes kBabblingBucket{1'000'005};
inline constexpr Bytes kOrphaningBucket{1'000'006};  // ends the process that started it

}  // namespace gabra::test
