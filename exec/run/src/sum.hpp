// SPDX-License-Identifier: MIT
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>

namespace gabra::exec {

/// target[i] += addend[i] for `count` elements of Float, Double or BFloat16 (added in float32, rounded).
void add_to(void* target, const void* addend, std::size_t count, c10::ScalarType type);

}  // namespace gabra::exec
