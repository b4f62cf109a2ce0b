// SPDX-License-Identifier: MIT
#include "gabra/core/ids.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>
#include <type_traits>
#include <unordered_set>

namespace gabra {
namespace {

static_assert(!std::is_convertible_v<DeviceId, LinkId> && !std::is_constructible_v<DeviceId, LinkId>);
static_assert(!std::is_convertible_v<int, DeviceId> && !std::is_convertible_v<DeviceId, int>);

TEST(Ids, TheDefaultIsNone) {
  EXPECT_FALSE(DeviceId().is_valid());
  EXPECT_TRUE(DeviceId(std::size_t{0}).is_valid());
  EXPECT_EQ(DeviceId().value(), -1);
}

TEST(Ids, OrderedAndHashable) {
  const std::set<LayerId> ordered{LayerId(2), LayerId(0), LayerId(1), LayerId(2)};
  EXPECT_EQ(ordered.size(), 3U);
  EXPECT_EQ(ordered.begin()->value(), 0);
  const std::unordered_set<LayerId> hashed{LayerId(2), LayerId(0), LayerId(2)};
  EXPECT_EQ(hashed.size(), 2U);
  EXPECT_EQ(LayerId(std::size_t{7}).index(), 7U);
}

}  // namespace
}  // namespace gabra
