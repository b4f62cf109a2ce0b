// SPDX-License-Identifier: MIT
#include "partition.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace gabra::ga {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kMostTransitions = 2e6;  // of PipeDream's dynamic program: beyond, replicas are powers of two

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

std::vector<double> crossing_bytes_by_cut(const Problem& problem) {
  const Network& network = *problem.network;
  std::vector<double> result(network.unit_count() + 1, 0.0);
  const auto bytes = static_cast<double>(bytes_per_element(problem.training.precision));
  for (const UnitTensor& tensor : network.unit_tensors()) {
    if (!tensor.producer.is_valid() || tensor.consumers.empty()) continue;
    const double amount = static_cast<double>(tensor.elements) * bytes * (tensor.needs_gradient ? 2.0 : 1.0);
    for (std::size_t cut = tensor.producer.index() + 1; cut <= tensor.consumers.back().index(); ++cut) {
      result[cut] += amount;
    }
  }
  return result;
}

}  // namespace

StageEstimator::StageEstimator(CostModel& costs)
    : costs_(costs),
      units_(static_cast<std::int32_t>(costs.problem().network->unit_count())),
      crossing_(crossing_bytes_by_cut(costs.problem())) {}

const StageEstimator::Table& StageEstimator::table(DeviceKindId kind, std::int64_t micro_batch) {
  const auto [found, is_new] = tables_.try_emplace({kind, micro_batch});
  if (is_new) {
    found->second.resize(at(units_ + 1) * at(units_ + 1), 0.0);
    for (std::int32_t first = 0; first < units_; ++first) {
      for (std::int32_t end = first + 1; end <= units_; ++end) {
        const SpanSeconds seconds = costs_.span(first, end, kind, micro_batch);
        found->second[at(first) * at(units_ + 1) + at(end)] = (seconds.forward + seconds.backward).value();
      }
    }
  }
  return found->second;
}

double StageEstimator::span(std::int32_t first, std::int32_t end, DeviceKindId kind, std::int64_t micro_batch) {
  return table(kind, micro_batch)[at(first) * at(units_ + 1) + at(end)];
}

double StageEstimator::reduce_seconds_per_byte(std::span<const DeviceId> devices) {
  if (devices.size() < 2) return 0.0;
  std::vector<DeviceId> key(devices.begin(), devices.end());
  std::sort(key.begin(), key.end());
  const auto [found, is_new] = reduce_.try_emplace(std::move(key), 0.0);
  if (is_new) {
    const Bytes probe(std::int64_t{100} * 1000 * 1000);
    found->second = costs_.collectives().all_reduce(found->first, probe).alone.value() / 1e8;
  }
  return found->second;
}

double StageEstimator::gradient_bytes(std::int32_t first, std::int32_t end) const {
  const TrainingSettings& training = costs_.problem().training;
  const auto bytes = parameter_bytes(training).gradient;
  return static_cast<double>(costs_.parameters(first, end) * bytes);
}

double StageEstimator::stage(std::int32_t first, std::int32_t end, std::span<const DeviceId> devices,
                             std::int64_t micro_batches) {
  const Cluster& cluster = *costs_.problem().cluster;
  const std::int64_t size = costs_.problem().training.global_batch / micro_batches;
  double slowest = 0.0;
  for (const DeviceId device : devices) {
    slowest = std::max(slowest, span(first, end, cluster.device(device).kind, size));
  }
  const auto replicas = static_cast<double>(devices.size());
  const double reduce = reduce_seconds_per_byte(devices) * gradient_bytes(first, end);
  return slowest / replicas + reduce / static_cast<double>(micro_batches);
}

std::vector<std::int32_t> even_ends(std::int32_t units, std::int32_t stages) {
  GABRA_CHECK(stages >= 1 && stages <= units, "as many stages as units at most");
  std::vector<std::int32_t> ends;
  std::int32_t end = 0;
  for (std::int32_t stage = 0; stage < stages; ++stage) {
    end += units / stages + (stage < units % stages ? 1 : 0);
    ends.push_back(end);
  }
  return ends;
}

std::vector<std::int32_t> balanced_ends(StageEstimator& estimator, const DeviceLists& devices,
                                        std::int64_t micro_batches) {
  const std::int32_t units = estimator.units();
  const auto stages = static_cast<std::int32_t>(devices.size());
  GABRA_CHECK(stages >= 1 && stages <= units, "as many stages as units at most");
  // longest[s][e]: the least longest stage when the first s stages hold the first e units.
  std::vector<std::vector<double>> longest(at(stages) + 1, std::vector<double>(at(units) + 1, kNever));
  std::vector<std::vector<std::int32_t>> cut(at(stages) + 1, std::vector<std::int32_t>(at(units) + 1, 0));
  longest[0][0] = 0.0;
  for (std::int32_t s = 1; s <= stages; ++s) {
    for (std::int32_t end = s; end <= units - (stages - s); ++end) {
      for (std::int32_t first = s - 1; first < end; ++first) {
        const double before = longest[at(s) - 1][at(first)];
        if (before >= longest[at(s)][at(end)]) continue;
        const double value = std::max(before, estimator.stage(first, end, devices[at(s) - 1], micro_batches));
        if (value < longest[at(s)][at(end)]) {
          longest[at(s)][at(end)] = value;
          cut[at(s)][at(end)] = first;
        }
      }
    }
  }
  std::vector<std::int32_t> ends(at(stages));
  std::int32_t end = units;
  for (std::int32_t s = stages; s >= 1; --s) {
    ends[at(s) - 1] = end;
    end = cut[at(s)][at(end)];
  }
  return ends;
}

std::vector<Stage> make_stages(std::span<const std::int32_t> ends, const DeviceLists& devices) {
  std::vector<Stage> stages;
  std::int32_t first = 0;
  for (std::size_t s = 0; s < ends.size(); ++s) {
    stages.push_back({.first_unit = first, .end_unit = ends[s], .devices = devices[s]});
    first = ends[s];
  }
  return stages;
}

namespace {

/// The dynamic program of pipedream_stages(): best(e, d) over the first e units on the first d devices.
class PipeDream {
 public:
  PipeDream(StageEstimator& estimator, const DeviceOrder& order, std::int64_t micro_batches)
      : estimator_(estimator),
        order_(order),
        micro_batches_(micro_batches),
        units_(estimator.units()),
        devices_(static_cast<std::int32_t>(order.size())),
        states_((at(units_) + 1) * (at(devices_) + 1)) {
    states_[0].longest = 0.0;
    const Cluster& cluster = *estimator_.costs().problem().cluster;
    const double size =
        static_cast<double>(estimator_.costs().problem().training.global_batch) / static_cast<double>(micro_batches);
    hop_.push_back(0.0);
    for (std::size_t i = 1; i < order_.size(); ++i) {
      hop_.push_back(size / cluster.route(order_[i - 1], order_[i]).bandwidth.value());
    }
    for (std::int32_t r = 1; r <= devices_ && r <= micro_batches; ++r) {
      const double transitions = static_cast<double>(units_) * units_ * devices_ * devices_ / 4.0;
      if (transitions <= kMostTransitions || (r & (r - 1)) == 0 || r == devices_) replicas_.push_back(r);
    }
  }

  [[nodiscard]] std::vector<Stage> solve() {
    for (std::int32_t used = 1; used <= devices_; ++used) {
      for (std::int32_t end = 1; end <= units_; ++end) relax(end, used);
    }
    std::vector<Stage> stages;
    std::int32_t end = units_;
    std::int32_t used = devices_;
    if (state(end, used).longest == kNever) return stages;
    while (end > 0) {
      const State& last = state(end, used);
      const auto devices = slice(used - last.replicas, used);
      stages.push_back({.first_unit = last.first, .end_unit = end, .devices = {devices.begin(), devices.end()}});
      end = last.first;
      used -= last.replicas;
    }
    std::reverse(stages.begin(), stages.end());
    return stages;
  }

 private:
  struct State {
    double longest = kNever;
    std::int32_t first = 0;
    std::int32_t replicas = 0;
  };

  State& state(std::int32_t end, std::int32_t used) { return states_[at(end) * (at(devices_) + 1) + at(used)]; }
  [[nodiscard]] std::span<const DeviceId> slice(std::int32_t first, std::int32_t end) const {
    return std::span(order_).subspan(at(first), at(end - first));
  }

  void relax(std::int32_t end, std::int32_t used) {
    const Cluster& cluster = *estimator_.costs().problem().cluster;
    const std::int64_t size = estimator_.costs().problem().training.global_batch / micro_batches_;
    State& best = state(end, used);
    for (const std::int32_t replicas : replicas_) {
      if (replicas > used) break;
      const auto devices = slice(used - replicas, used);
      std::set<DeviceKindId> kinds;
      for (const DeviceId device : devices) kinds.insert(cluster.device(device).kind);
      const double reduce = estimator_.reduce_seconds_per_byte(devices) / static_cast<double>(micro_batches_);
      for (std::int32_t first = 0; first < end; ++first) {
        const double before = state(first, used - replicas).longest;
        if (before >= best.longest) continue;
        double slowest = 0.0;
        for (const DeviceKindId kind : kinds) slowest = std::max(slowest, estimator_.span(first, end, kind, size));
        const double hop = first == 0 ? 0.0 : estimator_.crossing_bytes(first) * hop_[at(used - replicas)];
        const double time = slowest / replicas + reduce * estimator_.gradient_bytes(first, end);
        const double longest = std::max({before, time, hop});
        if (longest < best.longest) best = {.longest = longest, .first = first, .replicas = replicas};
      }
    }
  }

  StageEstimator& estimator_;
  const DeviceOrder& order_;
  std::int64_t micro_batches_;
  std::int32_t units_;
  std::int32_t devices_;
  std::vector<State> states_;
  std::vector<double> hop_;  // seconds per byte of a sample, from the device before
  std::vector<std::int32_t> replicas_;
};

}  // namespace

std::vector<Stage> pipedream_stages(StageEstimator& estimator, const DeviceOrder& order, std::int64_t micro_batches) {
  return PipeDream(estimator, order, micro_batches).solve();
}

}  // namespace gabra::ga
