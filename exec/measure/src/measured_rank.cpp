// SPDX-License-Identifier: MIT
#include "measured_rank.hpp"

#include "gabra/core/error.hpp"
#include "gabra/exec/interpreter.hpp"
#include "gabra/exec/prefetched_source.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/synthetic_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>

namespace gabra::exec {
namespace {

constexpr std::size_t kStepsToGiveUp = 2;
constexpr double kUndisturbed = 1.3;  // a core of which another guest has a half takes 1.7 to 1.9 times as long

std::int64_t count_undisturbed(const std::vector<double>& slowness) {
  return std::count_if(slowness.begin(), slowness.end(), [](double one) { return one <= kUndisturbed; });
}

/// While it lives, the rank says that it waits for others.
std::unique_ptr<Monitor::Waiting> waiting(Monitor* monitor, const std::string& what) {
  return monitor == nullptr ? nullptr : std::make_unique<Monitor::Waiting>(*monitor, what);
}

/// Tells the monitor what the device waits for, as long as there is one.
class WatchedDevice {
 public:
  WatchedDevice(Monitor* monitor, const Device& device) : monitor_(monitor) {
    if (monitor_ != nullptr) monitor_->watch(&device.waiting());
  }
  WatchedDevice(const WatchedDevice&) = delete;
  WatchedDevice& operator=(const WatchedDevice&) = delete;
  ~WatchedDevice() {
    if (monitor_ != nullptr) monitor_->watch(nullptr);
  }

 private:
  Monitor* monitor_;
};

/// A shorter wait for a transfer is none that hangs, however short a step may be.
constexpr Seconds kShortestHang(5.0);

class RankRun {
 public:
  RankRun(const Problem& problem, const Program& program, const MeasureOptions& options, const RankParts& parts)
      : options_(options), parts_(parts) {
    device_ = make_device(parts.hardware, program, parts.world, parts.communicator,
                          std::max(options.step_limit, kShortestHang));
    samples_ = make_synthetic_source(*problem.network, {program.samples, program.micro_batches}, options.seed);
    if (!device_->torch_device().is_cpu())
      samples_ = make_prefetched_source(
          std::move(samples_), loads_of(program, program.devices[static_cast<std::size_t>(parts.world.rank())]));
    {
      const auto note = waiting(parts.monitor, "the communicators of all ranks");
      parts.communicator.prepare(program);
    }
    Interpreter::Parts model{problem.network, problem.training, *device_, parts.communicator, *samples_, {}, {}};
    model.model.dtype =
        problem.training.precision == Precision::Bfloat16 ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
    model.model.device = device_->torch_device();
    model.model.seed = options.seed;
    interpreter_.emplace(program, std::move(model));
  }

  RankRecord run() {
    const WatchedDevice watched(parts_.monitor, *device_);
    agree(0.0);  // all have their models
    for (std::int64_t i = 0; i < options_.warm_up; ++i) {
      if (i == 1 || options_.warm_up == 1) device_->reset_peak();
      if (run_step() <= options_.step_limit) continue;
      record_.end = Measurement::End::OverLimit;
      break;
    }
    device_->set_recording(true);
    bool goes_on = true;
    if (looks_for_disturbances()) gauge_before_ = parts_.gauge->slowness();
    do goes_on = run_counted_step();
    while (goes_on && !has_enough());
    record_.peak_memory = device_->peak_memory();
    return std::move(record_);
  }

 private:
  /// The largest of all ranks' numbers; where they meet before the next step.
  double agree(double own) {
    const auto note = waiting(parts_.monitor, fmt::format("the end of step {} on all ranks", step_));
    return parts_.world.max(own);
  }

  Seconds run_step() {
    UpdateOptions update;
    update.learning_rate = 1e-6;  // the time of a step does not depend on it, and the loss stays a number
    update.step = ++step_;
    if (parts_.monitor != nullptr) parts_.monitor->set_step(step_);
    const double begin = monotonic_seconds();
    result_ = interpreter_->run_step(update);
    own_ = monotonic_seconds() - begin;
    return Seconds(agree(own_));
  }

  [[nodiscard]] bool looks_for_disturbances() const {
    return parts_.gauge != nullptr && options_.most_steps > options_.steps;
  }

  [[nodiscard]] bool has_enough() const {
    const auto taken = static_cast<std::int64_t>(record_.steps.size());
    if (!looks_for_disturbances()) return taken >= options_.steps;
    return taken >= options_.most_steps || count_undisturbed(record_.slowness) >= options_.steps;
  }

  /// What slowed this rank before or after the step that has just ended, or the slowest of the others.
  void gauge_step() {
    const double after = parts_.gauge->slowness();
    record_.slowness.push_back(agree(std::max(gauge_before_, after)));
    gauge_before_ = after;
  }

  /// Whether to go on; all ranks decide alike, for they know the same times.
  bool run_counted_step() {
    const Seconds seconds = run_step();
    record_.steps.push_back(seconds);
    record_.own_steps.emplace_back(own_);
    record_.all_spans.push_back(std::move(result_.spans));
    if (looks_for_disturbances()) gauge_step();
    if (seconds > options_.step_limit) record_.end = Measurement::End::OverLimit;
    const bool is_worse = options_.give_up_above && record_.steps.size() >= kStepsToGiveUp &&
                          *std::min_element(record_.steps.begin(), record_.steps.end()) > *options_.give_up_above;
    if (is_worse && record_.end == Measurement::End::Complete &&
        record_.steps.size() < static_cast<std::size_t>(options_.steps))
      record_.end = Measurement::End::GaveUp;
    return record_.end == Measurement::End::Complete;
  }

  const MeasureOptions& options_;
  const RankParts& parts_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<SampleSourceBase> samples_;
  std::optional<Interpreter> interpreter_;
  std::int64_t step_ = 0;
  double own_ = 0.0;
  double gauge_before_ = 0.0;
  StepResult result_;
  RankRecord record_;
};

}  // namespace

std::vector<std::size_t> undisturbed_steps(const std::vector<double>& slowness, std::size_t fewest) {
  std::vector<std::size_t> order(slowness.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return slowness[a] < slowness[b]; });
  order.resize(std::min(order.size(), std::max(static_cast<std::size_t>(count_undisturbed(slowness)), fewest)));
  std::sort(order.begin(), order.end());
  return order;
}

RankRecord run_rank(const Problem& problem, const Program& program, const MeasureOptions& options,
                    const RankParts& parts) {
  RankRun run(problem, program, options, parts);
  try {
    return run.run();
  } catch (const InputError& error) {
    // Others may be waiting for this rank: the job cannot go on, whatever was wrong.
    throw DeviceError(error.what());
  }
}

std::string pack(const RankRecord& record) {
  std::vector<double> numbers{static_cast<double>(record.end), static_cast<double>(record.peak_memory.value()),
                              record.clock_offset, static_cast<double>(record.steps.size()),
                              static_cast<double>(record.slowness.size())};
  for (std::size_t i = 0; i < record.steps.size(); ++i) {
    numbers.push_back(record.steps[i].value());
    numbers.push_back(record.own_steps[i].value());
  }
  numbers.insert(numbers.end(), record.slowness.begin(), record.slowness.end());
  for (const Timeline::Span& span : record.spans) {
    numbers.push_back(span.begin.value());
    numbers.push_back(span.end.value());
  }
  std::string bytes(numbers.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

RankRecord unpack(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  RankRecord record;
  record.end = static_cast<Measurement::End>(static_cast<int>(numbers.at(0)));
  record.peak_memory = Bytes(static_cast<std::int64_t>(numbers.at(1)));
  record.clock_offset = numbers.at(2);
  const auto steps = static_cast<std::size_t>(numbers.at(3));
  const auto gauged = static_cast<std::size_t>(numbers.at(4));
  std::size_t at = 5;
  for (std::size_t i = 0; i < steps; ++i, at += 2) {
    record.steps.emplace_back(numbers.at(at));
    record.own_steps.emplace_back(numbers.at(at + 1));
  }
  for (std::size_t i = 0; i < gauged; ++i) record.slowness.push_back(numbers.at(at++));
  for (; at + 1 < numbers.size(); at += 2) record.spans.push_back({Seconds(numbers[at]), Seconds(numbers[at + 1])});
  return record;
}

}  // namespace gabra::exec
