// SPDX-License-Identifier: MIT
#include "gabra/network/shape.hpp"

#include "limits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gabra {

std::int64_t element_count(const Shape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

std::string to_text(const Shape& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

std::optional<std::int64_t> bounded_product(std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  bool is_too_large = false;
  for (const std::int64_t factor : factors) {
    if (factor == 0) return 0;
    if (is_too_large || factor > kMostElements / product)
      is_too_large = true;
    else
      product *= factor;
  }
  if (is_too_large) return std::nullopt;
  return product;
}

}  // namespace gabra
