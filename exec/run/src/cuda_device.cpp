// SPDX-License-Identifier: MIT
#ifdef GABRA_WITH_CUDA

#include "gabra/exec/cuda_device.hpp"

#include "check_cuda.hpp"
#include "gabra/core/check.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "step_state.hpp"
#include "transfer_lanes.hpp"

#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <utility>

namespace gabra::exec {

void check_cuda(cudaError_t code, const char* call, CudaPlace place) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // so that a later call does not report it again
  throw DeviceError(fmt::format("rank {}, GPU {}: {} failed: {} ({}, code {})", place.rank, place.index, call,
                                cudaGetErrorString(code), cudaGetErrorName(code), static_cast<int>(code)));
}

namespace {

/// A CUDA event, made when it is first recorded.
class Event {
 public:
  Event() = default;
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  Event& operator=(Event&&) = delete;
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }

  void record(const c10::cuda::CUDAStream& stream, bool is_timed, CudaPlace place) {
    if (event_ != nullptr && is_timed != is_timed_)
      check_cuda(cudaEventDestroy(std::exchange(event_, nullptr)), "cudaEventDestroy", place);
    is_timed_ = is_timed;
    const unsigned flags = is_timed ? cudaEventDefault : cudaEventDisableTiming;
    if (event_ == nullptr) check_cuda(cudaEventCreateWithFlags(&event_, flags), "cudaEventCreateWithFlags", place);
    check_cuda(cudaEventRecord(event_, stream.stream()), "cudaEventRecord", place);
  }
  void block(const c10::cuda::CUDAStream& stream, CudaPlace place) const {
    check_cuda(cudaStreamWaitEvent(stream.stream(), event_, 0), "cudaStreamWaitEvent", place);
  }
  [[nodiscard]] bool is_done(CudaPlace place) const {
    const cudaError_t code = cudaEventQuery(event_);
    if (code == cudaErrorNotReady) {
      cudaGetLastError();  // it is no error, but would be found by whoever asks for the last one
      return false;
    }
    check_cuda(code, "cudaEventQuery", place);
    return true;
  }
  void wait(CudaPlace place) const { check_cuda(cudaEventSynchronize(event_), "cudaEventSynchronize", place); }
  /// Seconds from `earlier` to this; both timed and done.
  [[nodiscard]] double seconds_since(const Event& earlier, CudaPlace place) const {
    float milliseconds = 0.0F;
    check_cuda(cudaEventElapsedTime(&milliseconds, earlier.event_, event_), "cudaEventElapsedTime", place);
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
  bool is_timed_ = false;
};

/// Works are launched in submit(), in the Program's order, each on the CUDA stream of its stream; events order them
/// across streams. Communication has the higher priority: it needs few of the GPU's processors, but at once, for
/// others wait for it.
class CudaDevice final : public Device {
 public:
  CudaDevice(const Program& program, Communicator& communicator, const CudaDeviceOptions& options);
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  /// cuBLAS keeps memory for every stream that it was used on, and the next device has other streams.
  ~CudaDevice() override { at::cuda::clearCublasWorkspaces(); }

  [[nodiscard]] c10::Device torch_device() const override {
    return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(place_.index)};
  }
  [[nodiscard]] bool enqueues_transfers() const override { return true; }
  void submit(Work work) override;
  void finish() override;
  [[nodiscard]] std::vector<Timeline::Span> spans() const override { return spans_.all(); }
  void set_recording(bool is_on) override {
    is_recording_ = is_on;
    spans_.set_recording(is_on);
  }
  [[nodiscard]] Bytes peak_memory() const override;
  void reset_peak() override {
    first_peak_.reset();
    c10::cuda::CUDACachingAllocator::resetPeakStats(index());
  }
  [[nodiscard]] const WaitNote& waiting() const override { return note_; }

 private:
  [[nodiscard]] c10::DeviceIndex index() const { return static_cast<c10::DeviceIndex>(place_.index); }
  void begin_step();
  void launch(Work& work, const Instruction& one);
  template <class Action>
  void translate_errors(InstructionId id, Action action);
  void wait_for_all();
  void collect_spans();
  void leave_out_search();
  [[nodiscard]] Bytes allocator_peak() const;

  const Program& program_;
  Communicator& communicator_;
  const CudaDeviceOptions options_;
  CudaPlace place_;
  std::map<StreamId, c10::cuda::CUDAStream> streams_;
  std::vector<Event> begins_, ends_;  // by instruction
  Event start_;
  double start_seconds_ = 0.0;
  std::vector<InstructionId> launched_;  // of this step
  SpanRecorder spans_;
  bool is_recording_ = false;
  bool has_searched_ = false;        // cuDNN, in the first step
  std::optional<Bytes> first_peak_;  // of that step, until there is another
  WaitNote note_;
};

CudaDevice::CudaDevice(const Program& program, Communicator& communicator, const CudaDeviceOptions& options)
    : program_(program),
      communicator_(communicator),
      options_(options),
      place_{communicator.rank(), options.index},
      begins_(program.instructions.size()),
      ends_(program.instructions.size()),
      spans_(program.instructions.size()) {
  if (options.index >= cuda_device_count())
    throw DeviceError(fmt::format("rank {}: GPU {} is asked for, and this machine has {}", place_.rank, options.index,
                                  cuda_device_count()));
  check_cuda(cudaSetDevice(options.index), "cudaSetDevice", place_);
  set_cuda_arithmetic();
  const DeviceId own = program.devices[static_cast<std::size_t>(place_.rank)];
  for (std::size_t s = 0; s < program.streams.size(); ++s) {
    const Stream& stream = program.streams[s];
    if (stream.device != own) continue;
    const bool is_urgent = stream.kind != StreamKind::Compute && stream.kind != StreamKind::Load;
    streams_.emplace(StreamId(s), c10::cuda::getStreamFromPool(is_urgent, index()));
  }
}

/// The step follows what the caller has put on its own stream: new weights, class weights, a learning rate.
void CudaDevice::begin_step() {
  const c10::cuda::CUDAGuard guard(index());  // events are made on it
  const c10::cuda::CUDAStream callers = c10::cuda::getCurrentCUDAStream(index());
  start_.record(callers, is_recording_, place_);
  if (is_recording_) {
    start_.wait(place_);  // ties the GPU's clock to the host's
    start_seconds_ = monotonic_seconds();
  }
  for (const auto& [id, stream] : streams_) start_.block(stream, place_);
}

void CudaDevice::submit(Work work) {
  if (launched_.empty()) {
    begin_step();
    first_peak_.reset();
  }
  launched_.push_back(work.instruction);
  translate_errors(work.instruction, [&] { launch(work, program_.instructions[work.instruction.index()]); });
}

void CudaDevice::launch(Work& work, const Instruction& one) {
  const c10::cuda::CUDAStream stream = streams_.at(one.stream);
  const c10::cuda::CUDAStreamGuard guard(stream);
  const at::AutoDispatchBelowADInplaceOrView no_tape;
  for (const InstructionId before : work.after) ends_[before.index()].block(stream, place_);
  if (is_recording_) begins_[work.instruction.index()].record(stream, true, place_);
  if (work.compute) {
    work.compute();
  } else {
    at::Tensor tensor = work.tensor();
    const auto pending = communicator_.start({work.instruction, one.opcode, one.peer, one.collective, tensor});
    GABRA_CHECK(pending->test(), "a transfer between GPUs is done in the order of its stream");
    work.done(std::move(tensor));
  }
  ends_[work.instruction.index()].record(stream, is_recording_, place_);
}

template <class Action>
void CudaDevice::translate_errors(InstructionId id, Action action) {
  const auto failed = [&](const char* what, const c10::Error& error) {
    launched_.clear();
    return fmt::format("rank {}, GPU {}: {} in {}: {}", place_.rank, place_.index, what,
                       describe(program_.instructions[id.index()]), error.what_without_backtrace());
  };
  try {
    action();
  } catch (const c10::OutOfMemoryError& error) {
    throw DeviceMemoryError(failed("out of memory", error));
  } catch (const c10::AcceleratorError& error) {
    throw DeviceError(failed("CUDA failed", error));
  } catch (...) {
    launched_.clear();
    throw;
  }
}

void CudaDevice::finish() {
  if (launched_.empty()) return;
  translate_errors(launched_.back(), [this] {
    wait_for_all();
    collect_spans();
    leave_out_search();
  });
  launched_.clear();
  note_.clear();
}

/// The host's only wait in a step. Looks all the time at first, then now and then.
void CudaDevice::wait_for_all() {
  constexpr double kYieldingSeconds = 2e-3;
  constexpr double kNotedSeconds = 0.1;
  double since = monotonic_seconds();
  std::size_t next = 0;
  while (true) {
    const std::size_t before = next;
    while (next < launched_.size() && ends_[launched_[next].index()].is_done(place_)) ++next;
    if (next == launched_.size()) return;
    communicator_.check_health();
    const double now = monotonic_seconds();
    if (next != before) since = now;
    const double silence = now - since;
    if (silence > options_.time_limit_s)
      throw DeviceError(fmt::format("rank {}, GPU {}: no answer for {:.1f} s: waits for {}", place_.rank, place_.index,
                                    silence, describe_transfer(program_, launched_[next])));
    if (silence > kNotedSeconds) note_.set(describe_transfer(program_, launched_[next]));
    if (silence < kYieldingSeconds)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void CudaDevice::collect_spans() {
  if (!is_recording_) return;
  spans_.begin_step();
  for (const InstructionId id : launched_)
    spans_.set(id, start_seconds_ + begins_[id.index()].seconds_since(start_, place_),
               start_seconds_ + ends_[id.index()].seconds_since(start_, place_));
}

/// cuDNN's search tries algorithms with any amount of memory that is free, which no later step takes.
void CudaDevice::leave_out_search() {
  if (std::exchange(has_searched_, true)) return;
  const Bytes peak = allocator_peak();
  reset_peak();
  first_peak_ = peak;
}

Bytes CudaDevice::peak_memory() const { return first_peak_.value_or(allocator_peak()); }

Bytes CudaDevice::allocator_peak() const {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index());
  constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return Bytes(stats.allocated_bytes[kAll].peak);
}

}  // namespace

int cuda_device_count() { return static_cast<int>(c10::cuda::device_count()); }

void set_cuda_arithmetic() {
  at::Context& context = at::globalContext();
  context.lazyInitDevice(c10::DeviceType::CUDA);  // whoever asks the allocator for statistics may be the first
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setBenchmarkCuDNN(true);
}

CudaMemory cuda_memory(int index) {
  if (index >= cuda_device_count())
    throw DeviceError(fmt::format("GPU {} is asked for, and this machine has {}", index, cuda_device_count()));
  const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(index));
  std::size_t free = 0, total = 0;
  const CudaPlace place{.rank = index, .index = index};
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo", place);
  return {.total = Bytes(static_cast<std::int64_t>(total)), .in_use = Bytes(static_cast<std::int64_t>(total - free))};
}

std::unique_ptr<Device> make_cuda_device(const Program& program, Communicator& communicator,
                                         const CudaDeviceOptions& options) {
  GABRA_CHECK(static_cast<std::size_t>(communicator.rank()) < program.devices.size(),
              "the Program has no device for this rank");
  return std::make_unique<CudaDevice>(program, communicator, options);
}

}  // namespace gabra::exec

#endif
