// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/cuda_device.hpp"

#include <gtest/gtest.h>

#include <memory>

#ifdef GABRA_WITH_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace gabra::exec {

/// Why a test cannot run on devices of the type; empty: it can.
[[nodiscard]] inline std::string why_not_on(c10::DeviceType type, int count = 1) {
  if (type == c10::DeviceType::CPU) return "";
#ifdef GABRA_WITH_CUDA
  const int found = cuda_device_count();
  return found >= count ? "" : std::to_string(found) + " GPUs here, " + std::to_string(count) + " needed";
#else
  return "built with GABRA_WITH_CUDA=OFF; " + std::to_string(count) + " GPUs needed";
#endif
}

/// The device of a rank on the CPU or on the first GPU.
[[nodiscard]] inline std::unique_ptr<Device> make_lone_device(c10::DeviceType type, const Program& program,
                                                              Communicator& communicator) {
#ifdef GABRA_WITH_CUDA
  if (type == c10::DeviceType::CUDA) return make_cuda_device(program, communicator, {.time_limit_s = 60.0});
#endif
  EXPECT_EQ(type, c10::DeviceType::CPU);
  return make_cpu_device(program, communicator, {.time_limit_s = 60.0});
}

/// While one lives, an operation that makes the host wait for a GPU throws.
class NoHostWaits {
 public:
#ifdef GABRA_WITH_CUDA
  NoHostWaits() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~NoHostWaits() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
#else
  NoHostWaits() = default;
#endif
  NoHostWaits(const NoHostWaits&) = delete;
  NoHostWaits& operator=(const NoHostWaits&) = delete;
};

/// A device in whose submit() nothing may make the host wait, once strict.
class StrictDevice final : public Device {
 public:
  explicit StrictDevice(Device& inner) : inner_(inner) {}
  void set_strict() { is_strict_ = true; }

  [[nodiscard]] c10::Device torch_device() const override { return inner_.torch_device(); }
  [[nodiscard]] bool enqueues_transfers() const override { return inner_.enqueues_transfers(); }
  void submit(Work work) override {
    if (!is_strict_) return inner_.submit(std::move(work));
    const NoHostWaits no_waits;
    inner_.submit(std::move(work));
  }
  void finish() override { inner_.finish(); }
  [[nodiscard]] std::vector<Timeline::Span> spans() const override { return inner_.spans(); }
  void set_recording(bool is_on) override { inner_.set_recording(is_on); }
  [[nodiscard]] Bytes peak_memory() const override { return inner_.peak_memory(); }
  void reset_peak() override { inner_.reset_peak(); }
  [[nodiscard]] const WaitNote& waiting() const override { return inner_.waiting(); }

 private:
  Device& inner_;
  bool is_strict_ = false;
};

}  // namespace gabra::exec
