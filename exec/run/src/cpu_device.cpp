// SPDX-License-Identifier: MIT
#include "gabra/exec/cpu_device.hpp"

#include "gabra/core/check.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "transfer_lanes.hpp"

#include <sched.h>

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace gabra::exec {
namespace {

using std::chrono::microseconds;

// How long to wait between two looks at transfers. A rank that waits looks all the time at first, since most waits
// are short, then leaves the core to whoever can use it, for a small part of what it has waited already; beside
// computation, looking takes time from it.
constexpr double kEagerOnSharedCores = 200e-6;
constexpr double kEagerOnOwnCores = 50e-3;  // where no other rank could use them
constexpr double kShareAsleep = 0.02;
constexpr double kShortestNap = 20e-6;
constexpr double kLongestNap = 200e-6;
constexpr microseconds kShortestSleep{20};
constexpr microseconds kLongestSleep{500};
constexpr microseconds kMessagesOnly{5000};  // the computing thread looks after messages between layers
constexpr microseconds kAnotherLooks{1000};  // the computing thread waits, and looks itself

/// Whether this rank is bound to as many cores as it computes with.
bool has_own_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) <= at::get_num_threads();
}

class CpuDevice final : public Device {
 public:
  CpuDevice(const Program& program, Communicator& communicator, const CpuDeviceOptions& options);
  CpuDevice(const CpuDevice&) = delete;
  CpuDevice& operator=(const CpuDevice&) = delete;
  ~CpuDevice() override;

  [[nodiscard]] c10::Device torch_device() const override { return c10::Device(c10::DeviceType::CPU); }
  void submit(Work work) override;
  void between_layers() override {
    if (lanes_.running() > 0) pump_if_free();
  }
  void finish() override;
  [[nodiscard]] std::vector<Timeline::Span> spans() const override { return spans_.all(); }
  void set_recording(bool is_on) override { spans_.set_recording(is_on); }
  [[nodiscard]] Bytes peak_memory() const override { return TensorMemory::peak(); }
  void reset_peak() override { TensorMemory::reset_peak(); }
  [[nodiscard]] const WaitNote& waiting() const override { return note_; }

 private:
  void run_compute();
  void run(Work& work);
  void wait_for(InstructionId id);
  void wait_for_all();
  template <class Predicate, class Describe>
  void wait_until(Predicate is_done, Describe describe);
  bool pump();
  void pump_if_free();
  void throw_if_failed();
  void fail(std::exception_ptr error);
  void end_step();
  void serve();
  void serve_step();
  bool run_ready_load();
  [[nodiscard]] bool is_load_ready() const;
  void wake_service_if_needed();

  const Program& program_;
  const CpuDeviceOptions options_;
  const int rank_;
  const double eager_s_;  // how long a wait looks all the time
  CompletionFlags flags_;
  SpanRecorder spans_;
  TransferLanes lanes_;
  WaitNote note_;
  std::vector<Work> compute_, load_;
  std::atomic<std::size_t> loads_done_{0};
  std::mutex pump_mutex_;  // whoever holds it drives the transfers

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool is_stopping_ = false;
  bool is_in_step_ = false;
  bool is_service_idle_ = true;
  bool is_woken_ = false;
  std::exception_ptr error_;
  std::atomic<bool> has_failed_{false};
  std::atomic<bool> is_compute_waiting_{false};
  std::atomic<bool> is_service_asleep_{false};
  std::thread service_;
};

CpuDevice::CpuDevice(const Program& program, Communicator& communicator, const CpuDeviceOptions& options)
    : program_(program),
      options_(options),
      rank_(communicator.rank()),
      eager_s_(has_own_cores() ? kEagerOnOwnCores : kEagerOnSharedCores),
      flags_(program.instructions.size()),
      spans_(program.instructions.size()),
      lanes_(program, communicator, flags_, spans_) {
  // What the service thread adds up should not start LibTorch's threads a second time. The number is per thread, but
  // setting it is also the default for threads to come.
  const int threads = at::get_num_threads();
  service_ = std::thread([this] {
    at::set_num_threads(1);
    serve();
  });
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_woken_; });
    is_woken_ = false;
  }
  at::set_num_threads(threads);
}

CpuDevice::~CpuDevice() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  service_.join();
}

void CpuDevice::submit(Work work) {
  flags_.clear(work.instruction);
  switch (program_.streams[program_.instructions[work.instruction.index()].stream.index()].kind) {
    case StreamKind::Compute:
      compute_.push_back(std::move(work));
      return;
    case StreamKind::Load:
      load_.push_back(std::move(work));
      return;
    default:
      lanes_.push(std::move(work));
  }
}

void CpuDevice::finish() {
  spans_.begin_step();
  {
    const std::lock_guard lock(mutex_);
    loads_done_ = 0;
    is_in_step_ = true;
    is_service_idle_ = false;
  }
  changed_.notify_all();
  try {
    const at::AutoDispatchBelowADInplaceOrView no_tape;
    run_compute();
    wait_for_all();
  } catch (...) {
    end_step();
    lanes_.abandon();
    throw;
  }
  end_step();
}

/// The service thread is out of the step when this returns.
void CpuDevice::end_step() {
  std::unique_lock lock(mutex_);
  is_in_step_ = false;
  changed_.notify_all();
  changed_.wait(lock, [this] { return is_service_idle_; });
  is_compute_waiting_ = false;
  has_failed_ = false;
  error_ = nullptr;
  compute_.clear();
  load_.clear();
  note_.clear();
}

void CpuDevice::run_compute() {
  // A transfer that waits for nothing starts before the first computation does.
  pump();
  for (Work& work : compute_) {
    for (const InstructionId before : work.after) wait_for(before);
    wake_service_if_needed();
    run(work);
    pump_if_free();
    throw_if_failed();
  }
  wake_service_if_needed();
}

void CpuDevice::run(Work& work) {
  const double begin = monotonic_seconds();
  work.compute();
  spans_.set(work.instruction, begin, monotonic_seconds());
  flags_.set(work.instruction);
}

bool CpuDevice::pump() {
  const std::lock_guard lock(pump_mutex_);
  return lanes_.pump();
}

/// The service thread, where it holds the transfers, will look again soon.
void CpuDevice::pump_if_free() {
  const std::unique_lock lock(pump_mutex_, std::try_to_lock);
  if (lock) lanes_.pump();
}

void CpuDevice::wait_for(InstructionId id) {
  if (flags_.is_set(id)) return;
  wait_until([&] { return flags_.is_set(id); }, [&] { return lanes_.describe_wait(id); });
}

void CpuDevice::wait_for_all() {
  wait_until([&] { return lanes_.left() == 0 && loads_done_ == load_.size(); }, [&] { return lanes_.describe_any(); });
}

template <class Predicate, class Describe>
void CpuDevice::wait_until(Predicate is_done, Describe describe) {
  const double begin = monotonic_seconds();
  is_compute_waiting_ = true;
  bool is_noted = false;
  while (!is_done()) {
    throw_if_failed();
    if (pump()) continue;  // what ended may be what is waited for
    const double now = monotonic_seconds();
    if (now - begin < eager_s_) {
      std::this_thread::yield();
      continue;
    }
    const auto describe_safely = [&] {
      const std::lock_guard lock(pump_mutex_);
      return describe();
    };
    if (!is_noted) note_.set(describe_safely());
    is_noted = true;
    const double silence = now - std::max(begin, lanes_.last_end());
    if (silence > options_.time_limit_s)
      throw DeviceError(
          fmt::format("rank {}: no answer for {:.1f} s: waits for {}", rank_, silence, describe_safely()));
    std::this_thread::sleep_for(
        std::chrono::duration<double>(std::clamp(kShareAsleep * (now - begin), kShortestNap, kLongestNap)));
  }
  if (is_noted) note_.clear();
  is_compute_waiting_ = false;
}

void CpuDevice::throw_if_failed() {
  if (!has_failed_) return;
  const std::lock_guard lock(mutex_);
  std::rethrow_exception(error_);
}

void CpuDevice::fail(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (has_failed_) return;
  error_ = std::move(error);
  has_failed_ = true;
}

/// Beside the computation that follows, collectives are the service thread's, and so is a Load that has become ready.
/// Messages are looked after between layers: on a virtual machine a thread that wakes up for them takes some 25 us.
void CpuDevice::wake_service_if_needed() {
  if (!is_service_asleep_ || (lanes_.running_collectives() == 0 && !is_load_ready())) return;
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_all();
}

bool CpuDevice::is_load_ready() const {
  const std::size_t next = loads_done_;
  return next < load_.size() && flags_.are_set(load_[next].after);
}

bool CpuDevice::run_ready_load() {
  if (!is_load_ready()) return false;
  run(load_[loads_done_]);
  ++loads_done_;
  return true;
}

/// The service thread.
void CpuDevice::serve() {
  const at::AutoDispatchBelowADInplaceOrView no_tape;
  std::unique_lock lock(mutex_);
  is_woken_ = true;  // tells the constructor that this thread runs
  changed_.notify_all();
  while (true) {
    // Not for is_in_step_: a short step may be over before this thread looks, and its end waits to hear of it.
    changed_.wait(lock, [this] { return is_stopping_ || !is_service_idle_; });
    if (is_stopping_) return;
    if (is_in_step_) {
      lock.unlock();
      try {
        serve_step();
      } catch (...) {
        fail(std::current_exception());
      }
      lock.lock();
    }
    changed_.wait(lock, [this] { return is_stopping_ || !is_in_step_; });
    is_service_idle_ = true;
    changed_.notify_all();
  }
}

void CpuDevice::serve_step() {
  microseconds sleep = kShortestSleep;
  while (true) {
    if (run_ready_load()) continue;
    const bool is_another_looking = is_compute_waiting_;
    if (!is_another_looking && pump()) {
      sleep = kShortestSleep;
      continue;
    }
    sleep = std::min(sleep + sleep / 2, kLongestSleep);
    std::unique_lock lock(mutex_);
    if (!is_in_step_ || is_stopping_ || has_failed_) return;
    const auto is_wanted = [this] { return is_woken_ || !is_in_step_ || is_stopping_; };
    is_service_asleep_ = true;  // before it looks a last time: whoever comes later sees it and wakes it
    if (is_another_looking)
      changed_.wait_for(lock, kAnotherLooks, is_wanted);
    else if (lanes_.running() > 0 || is_load_ready())
      changed_.wait_for(lock, lanes_.running_collectives() > 0 || is_load_ready() ? sleep : kMessagesOnly, is_wanted);
    else
      changed_.wait(lock, is_wanted);
    is_service_asleep_ = false;
    is_woken_ = false;
  }
}

}  // namespace

std::unique_ptr<Device> make_cpu_device(const Program& program, Communicator& communicator,
                                        const CpuDeviceOptions& options) {
  GABRA_CHECK(static_cast<std::size_t>(communicator.rank()) < program.devices.size(),
              "the Program has no device for this rank");
  return std::make_unique<CpuDevice>(program, communicator, options);
}

}  // namespace gabra::exec
