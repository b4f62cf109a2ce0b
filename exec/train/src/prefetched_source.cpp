// SPDX-License-Identifier: MIT
#include "gabra/exec/prefetched_source.hpp"

#include "gabra/core/check.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace gabra::exec {
namespace {

constexpr std::size_t kAhead = 2;  // own choice: one that the GPU reads from, one that is being filled

class PrefetchedSource final : public SampleSourceBase {
 public:
  PrefetchedSource(std::unique_ptr<SampleSourceBase> source, std::vector<std::int64_t> loads, HostMemory memory)
      : source_(std::move(source)), loads_(std::move(loads)), memory_(memory), thread_([this] { fetch_all(); }) {}
  PrefetchedSource(const PrefetchedSource&) = delete;
  PrefetchedSource& operator=(const PrefetchedSource&) = delete;
  ~PrefetchedSource() override {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  [[nodiscard]] std::int64_t steps_per_epoch() const override { return source_->steps_per_epoch(); }
  at::Tensor target(std::int64_t step, std::int64_t micro_batch) override { return source_->target(step, micro_batch); }
  std::vector<at::Tensor> inputs(std::int64_t step, std::int64_t micro_batch) override;

 private:
  struct Place {
    std::int64_t step = 0;
    std::size_t load = 0;  // index of loads_
    bool operator==(const Place&) const = default;
  };
  struct Fetched {
    std::vector<at::Tensor> tensors;
    std::exception_ptr error;
  };

  [[nodiscard]] Place following(Place place) const {
    return place.load + 1 < loads_.size() ? Place{place.step, place.load + 1} : Place{place.step + 1, 0};
  }
  /// Of the next Load of the micro-batch in the step, the expected one first.
  [[nodiscard]] Place place_of(std::int64_t step, std::int64_t micro_batch) const;
  [[nodiscard]] Fetched fetch(Place place);
  void fetch_all();

  std::unique_ptr<SampleSourceBase> source_;
  std::vector<std::int64_t> loads_;
  HostMemory memory_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Fetched> ready_;
  Place expected_;              // what will be asked for
  Place next_;                  // what the thread fetches
  bool is_started_ = false;     // the first call says with which step
  std::uint64_t restarts_ = 0;  // what was fetched before the last one is thrown away
  bool ends_ = false;
  std::thread thread_;  // last: it uses the others
};

PrefetchedSource::Place PrefetchedSource::place_of(std::int64_t step, std::int64_t micro_batch) const {
  if (is_started_ && expected_.step == step && loads_[expected_.load] == micro_batch) return expected_;
  const auto found = std::find(loads_.begin(), loads_.end(), micro_batch);
  GABRA_CHECK(found != loads_.end(), "a micro-batch that this device does not load");
  return {step, static_cast<std::size_t>(found - loads_.begin())};
}

std::vector<at::Tensor> PrefetchedSource::inputs(std::int64_t step, std::int64_t micro_batch) {
  std::unique_lock lock(mutex_);
  const Place place = place_of(step, micro_batch);
  if (!is_started_ || place != expected_) {
    is_started_ = true;
    ++restarts_;
    ready_.clear();
    next_ = place;
  }
  expected_ = following(place);
  changed_.notify_all();
  changed_.wait(lock, [this] { return !ready_.empty(); });
  Fetched found = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  if (found.error) std::rethrow_exception(found.error);
  return std::move(found.tensors);
}

PrefetchedSource::Fetched PrefetchedSource::fetch(Place place) {
  Fetched result;
  try {
    result.tensors = source_->inputs(place.step, loads_[place.load]);
    for (at::Tensor& tensor : result.tensors)
      if (tensor.defined() && memory_ == HostMemory::Pinned) tensor = tensor.pin_memory();
  } catch (...) {
    result.error = std::current_exception();
  }
  return result;
}

void PrefetchedSource::fetch_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ends_ || (is_started_ && ready_.size() < kAhead); });
    if (ends_) return;
    const Place place = next_;
    const std::uint64_t restarts = restarts_;
    lock.unlock();
    Fetched fetched = fetch(place);
    lock.lock();
    if (restarts != restarts_) continue;
    next_ = following(place);
    ready_.push_back(std::move(fetched));
    changed_.notify_all();
  }
}

}  // namespace

std::vector<std::int64_t> loads_of(const Program& program, DeviceId device) {
  std::vector<std::int64_t> result;
  for (const Instruction& one : program.instructions)
    if (one.opcode == Opcode::Load && one.device == device) result.push_back(one.micro_batch);
  return result;
}

std::unique_ptr<SampleSourceBase> make_prefetched_source(std::unique_ptr<SampleSourceBase> source,
                                                         std::vector<std::int64_t> loads, HostMemory memory) {
  return std::make_unique<PrefetchedSource>(std::move(source), std::move(loads), memory);
}

}  // namespace gabra::exec
