// SPDX-License-Identifier: MIT
#include "message_bench.hpp"

#include "gabra/calibration/statistics.hpp"
#include "gabra/core/check.hpp"

#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace gabra::exec {
namespace {

constexpr std::size_t kFewest = 5;  // repetitions, where time allows
constexpr std::size_t kMost = 200;

/// A Program with a stream each way between every pair, and an all-reduce over each group.
Program program_of(int ranks, const std::vector<std::vector<DeviceId>>& groups) {
  Program program;
  for (int r = 0; r < ranks; ++r) program.devices.emplace_back(r);
  for (int from = 0; from < ranks; ++from)
    for (int to = 0; to < ranks; ++to) {
      if (from == to) continue;
      program.streams.push_back({DeviceId(from), StreamKind::Send, DeviceId(to)});
      program.streams.push_back({DeviceId(to), StreamKind::Receive, DeviceId(from)});
    }
  for (const std::vector<DeviceId>& group : groups) program.collectives.push_back({{}, group, Bytes(0)});
  return program;
}

std::vector<std::vector<DeviceId>> groups_of(int ranks) {
  std::vector<std::vector<DeviceId>> groups;
  for (int size = 2; size <= ranks; size = size == ranks || 2 * size <= ranks ? 2 * size : ranks) {
    std::vector<DeviceId>& group = groups.emplace_back();
    for (int r = 0; r < size; ++r) group.emplace_back(r);
  }
  return groups;
}

class MessageBench {
 public:
  MessageBench(const MpiWorld& world, Communicator& communicator, c10::Device device,
               const MessageBenchOptions& options)
      : world_(world), communicator_(communicator), device_(device), options_(options) {
    for (std::int64_t bytes = 1024; bytes <= std::int64_t{16} << 20; bytes *= 4) transfer_sizes_.push_back(bytes);
    const std::int64_t largest = std::max(options.largest_all_reduce.value(), std::int64_t{1} << 20);
    for (std::int64_t bytes = 4096; bytes < largest; bytes *= 4) reduction_sizes_.push_back(bytes);
    reduction_sizes_.push_back(largest / 4 * 4);
  }

  MessageTimes run() {
    MessageTimes times;
    const int ranks = world_.size();
    const std::vector<std::vector<DeviceId>> groups = groups_of(ranks);
    const Program program = program_of(ranks, groups);
    communicator_.prepare(program);
    const auto pairs = static_cast<std::size_t>(ranks * (ranks - 1) / 2);
    const auto parts = static_cast<double>(pairs * transfer_sizes_.size() + groups.size() * reduction_sizes_.size());
    limit_ = options_.time_limit.value() / std::max(1.0, parts);
    for (int from = 0; from < ranks; ++from)
      for (int to = from + 1; to < ranks; ++to)
        for (const std::int64_t bytes : transfer_sizes_) {
          const Seconds seconds = repeat(world_.rank() == from || world_.rank() == to, bytes,
                                         [&](at::Tensor& data) { return round_trip(from, to, data) / 2.0; });
          times.transfers[{from, to}].push_back({Bytes(bytes), seconds});
          times.transfers[{to, from}].push_back({Bytes(bytes), seconds});
        }
    for (std::size_t g = 0; g < groups.size(); ++g)
      for (const std::int64_t bytes : reduction_sizes_) {
        const bool is_member = static_cast<std::size_t>(world_.rank()) < groups[g].size();
        const Seconds seconds = repeat(is_member, bytes, [&](at::Tensor& data) { return reduce(g, data); });
        times.all_reduces.push_back(
            {.devices = static_cast<int>(groups[g].size()), .bytes = Bytes(bytes), .seconds = seconds});
      }
    return times;
  }

 private:
  /// The lower quartile of `once`, which all members call as often; the others wait. A message is slowed down by
  /// whoever else uses the machine, and never sped up.
  template <class Once>
  Seconds repeat(bool is_member, std::int64_t bytes, Once once) {
    at::Tensor data;
    if (is_member) data = at::zeros({bytes / 4}, at::TensorOptions(device_).dtype(at::kFloat));
    std::vector<double> seconds;
    const double begin = monotonic_seconds();
    bool goes_on = true;
    for (std::size_t i = 0; goes_on; ++i) {
      const double own = is_member ? once(data) : 0.0;
      const double slowest = world_.max(own);
      if (i > 0) seconds.push_back(slowest);  // the first one warms up
      const bool is_time_up = monotonic_seconds() - begin > limit_;
      const bool is_done = seconds.size() >= kMost || (is_time_up && seconds.size() >= kFewest) ||
                           (monotonic_seconds() - begin > 4.0 * limit_ && !seconds.empty());
      goes_on = world_.max(is_done ? 1.0 : 0.0) == 0.0;
    }
    return Seconds(quantile(std::move(seconds), 0.25));
  }

  double round_trip(int from, int to, at::Tensor& data) {
    const bool is_first = world_.rank() == from;
    const DeviceId peer(is_first ? to : from);
    const double begin = monotonic_seconds();
    wait(communicator_.start({{}, is_first ? Opcode::Send : Opcode::Receive, peer, -1, data}));
    wait(communicator_.start({{}, is_first ? Opcode::Receive : Opcode::Send, peer, -1, data}));
    // The other side's second half ends with a message on its way; only this side's clock spans both.
    return is_first ? monotonic_seconds() - begin : 0.0;
  }

  double reduce(std::size_t group, at::Tensor& data) {
    const double begin = monotonic_seconds();
    wait(communicator_.start({{}, Opcode::AllReduce, {}, static_cast<std::int32_t>(group), data}));
    return monotonic_seconds() - begin;
  }

  void wait(const std::unique_ptr<Communicator::Pending>& pending) {
    constexpr double kLimit = 60.0;
    const double begin = monotonic_seconds();
    while (!pending->test())
      if (monotonic_seconds() - begin > kLimit)
        throw DeviceError("rank " + std::to_string(world_.rank()) + ": no answer for 60 s: waits for a test message");
    if (!device_.is_cpu()) c10::impl::VirtualGuardImpl(device_.type()).getStream(device_).synchronize();
  }

  const MpiWorld& world_;
  Communicator& communicator_;
  const c10::Device device_;
  const MessageBenchOptions& options_;
  std::vector<std::int64_t> transfer_sizes_, reduction_sizes_;
  double limit_ = 0.0;  // of one size
};

}  // namespace

MessageTimes time_messages(const MpiWorld& world, Communicator& communicator, c10::Device device,
                           const MessageBenchOptions& options) {
  return MessageBench(world, communicator, device, options).run();
}

}  // namespace gabra::exec
