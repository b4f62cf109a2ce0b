// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"

#include <vector>

namespace gabra::test {

/// The first `count` devices of a cluster.
inline std::vector<DeviceId> first(int count) {
  std::vector<DeviceId> devices;
  for (int i = 0; i < count; ++i) devices.emplace_back(i);
  return devices;
}

}  // namespace gabra::test
