// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>

namespace gabra::exec {

/// Who waits, and for how long at most.
struct WaitLimit {
  std::string place;  ///< "rank 1, GPU 1"
  double seconds = 300.0;
};

/// Runs `call`, which blocks until other ranks do their part and has no time limit of its own, in another thread, and
/// waits for it. What it throws comes through. After the limit throws DeviceError: "rank 1, GPU 1: no answer for 300.0
/// s: waits for WHAT". The call is then left behind, for nothing ends it but the end of the process, so it must own
/// what it touches or refer to what lives as long.
void call_within(const WaitLimit& limit, const std::string& what, std::function<void()> call);

}  // namespace gabra::exec
