// SPDX-License-Identifier: MIT
#include "limited_call.hpp"

#include "gabra/exec/communicator.hpp"

#include <fmt/format.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

namespace gabra::exec {

void call_within(const WaitLimit& limit, const std::string& what, std::function<void()> call) {
  std::packaged_task<void()> task(std::move(call));
  std::future<void> result = task.get_future();
  std::thread(std::move(task)).detach();
  if (result.wait_for(std::chrono::duration<double>(limit.seconds)) != std::future_status::ready)
    throw DeviceError(fmt::format("{}: no answer for {:.1f} s: waits for {}", limit.place, limit.seconds, what));
  result.get();
}

}  // namespace gabra::exec
