// SPDX-License-Identifier: MIT
#include "sum.hpp"

#include "gabra/core/check.hpp"

#include <c10/util/BFloat16.h>

namespace gabra::exec {
namespace {

template <class T>
void add(T* __restrict target, const T* __restrict addend, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) target[i] += addend[i];
}

}  // namespace

void add_to(void* target, const void* addend, std::size_t count, c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float:
      return add(static_cast<float*>(target), static_cast<const float*>(addend), count);
    case c10::ScalarType::Double:
      return add(static_cast<double*>(target), static_cast<const double*>(addend), count);
    case c10::ScalarType::BFloat16:
      return add(static_cast<c10::BFloat16*>(target), static_cast<const c10::BFloat16*>(addend), count);
    default:
      GABRA_CHECK(false, "only float32, float64 and bfloat16 are summed");
  }
}

}  // namespace gabra::exec
