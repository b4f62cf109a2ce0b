// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace gabra {

/// A dense index with a type of its own: ordered, hashable, not convertible to another id. Default is "none" (-1).
template <class Tag>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(std::int32_t value) : value_(value) {}
  constexpr explicit Id(std::size_t index) : value_(static_cast<std::int32_t>(index)) {}

  [[nodiscard]] constexpr std::int32_t value() const { return value_; }
  /// For indexing a vector; the id must be valid.
  [[nodiscard]] constexpr std::size_t index() const { return static_cast<std::size_t>(value_); }
  [[nodiscard]] constexpr bool is_valid() const { return value_ >= 0; }

  constexpr auto operator<=>(const Id&) const = default;

 private:
  std::int32_t value_ = -1;
};

using LayerId = Id<struct LayerIdTag>;
using UnitId = Id<struct UnitIdTag>;
using DeviceId = Id<struct DeviceIdTag>;
using DeviceKindId = Id<struct DeviceKindIdTag>;
using VertexId = Id<struct VertexIdTag>;  ///< a device or a switch of a cluster graph
using LinkId = Id<struct LinkIdTag>;
using StageId = Id<struct StageIdTag>;
using StreamId = Id<struct StreamIdTag>;
using InstructionId = Id<struct InstructionIdTag>;

}  // namespace gabra

template <class Tag>
struct std::hash<gabra::Id<Tag>> {
  std::size_t operator()(gabra::Id<Tag> id) const noexcept { return std::hash<std::int32_t>{}(id.value()); }
};
