// SPDX-License-Identifier: MIT
#include "work_at_root.hpp"

#include <fmt/format.h>

#include <chrono>
#include <future>

namespace gabra::exec {
namespace {

constexpr std::chrono::milliseconds kBetweenAnswers{100};

}  // namespace

void work_at_root(const MpiWorld& world, Monitor& monitor, const std::string& what, const std::function<void()>& work) {
  if (world.size() == 1) return work();
  const bool is_root = world.rank() == 0;
  std::future<void> result;
  if (is_root) result = std::async(std::launch::async, work);
  const std::string waits_for = is_root ? fmt::format("answers of all ranks beside {}", what) : what + " by rank 0";
  for (bool is_over = false; !is_over;) {
    const bool is_done = is_root && result.wait_for(kBetweenAnswers) == std::future_status::ready;
    const Monitor::Waiting waiting(monitor, waits_for);
    world.barrier();  // which leaves the core to the work
    is_over = world.max(is_done ? 1.0 : 0.0) > 0.0;
  }
  if (is_root) result.get();
}

}  // namespace gabra::exec
