// SPDX-License-Identifier: MIT
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/ga/baselines.hpp"
#include "pricer.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace gabra::ga {
namespace {

constexpr std::size_t kLayoutsAtOnce = 64;  // layouts whose plans are priced at once
constexpr double kMostLayouts = 3e6;        // as many are kept in memory
constexpr double kMostPlans = 1e9;          // as many bounds, at worst
constexpr Recompute kRecomputations[] = {Recompute::Never, Recompute::Always, Recompute::ExceptLast};
constexpr Schedule kSchedules[] = {Schedule::OneForwardOneBackward, Schedule::GPipe, Schedule::Sequential};

/// Every ordered list of distinct devices, at most `most` long.
void add_lists(std::vector<DeviceId>& prefix, std::int32_t devices, std::size_t most,
               std::vector<std::vector<DeviceId>>& to) {
  for (std::int32_t d = 0; d < devices && prefix.size() < most; ++d) {
    if (std::find(prefix.begin(), prefix.end(), DeviceId(d)) != prefix.end()) continue;
    prefix.emplace_back(d);
    to.push_back(prefix);
    add_lists(prefix, devices, most, to);
    prefix.pop_back();
  }
}

std::vector<std::vector<DeviceId>> all_lists(const PlanSpace& space, std::int64_t count) {
  std::vector<std::vector<DeviceId>> lists;
  std::vector<DeviceId> prefix;
  add_lists(prefix, space.devices(), static_cast<std::size_t>(count), lists);
  return lists;
}

double binomial(std::int64_t n, std::int64_t k) {
  double result = 1.0;
  for (std::int64_t i = 1; i <= k; ++i) result = result * static_cast<double>(n - k + i) / static_cast<double>(i);
  return result;
}

struct SpaceSize {
  double plans = 0.0;
  double layouts = 0.0;  ///< without regard to interchangeable devices
};

/// The ways to give lists of devices to 1, 2, ... stages, by how often each device is used so far, times cuts and
/// bucket sizes are the layouts; times recomputations and schedules the plans. Infinite where that is too long to
/// count.
SpaceSize size_with(const PlanSpace& space, std::int64_t count) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  constexpr std::int32_t kMostDevices = 5;  // 325 lists
  if (space.devices() > kMostDevices || space.units() * space.max_stages_per_device() > 400) {
    return {.plans = kInfinite, .layouts = kInfinite};
  }
  const auto lists = all_lists(space, count);
  std::map<std::vector<std::int64_t>, double> ways{
      {std::vector<std::int64_t>(static_cast<std::size_t>(space.devices()), 0), 1.0}};
  SpaceSize size;
  double recomputations = 1.0;
  for (std::int32_t stages = 1; stages <= space.units(); ++stages) {
    std::map<std::vector<std::int64_t>, double> next;
    double assignments = 0.0;
    for (const auto& [uses, number] : ways) {
      for (const auto& list : lists) {
        std::vector<std::int64_t> more = uses;
        bool is_admitted = true;
        for (const DeviceId device : list) is_admitted &= ++more[device.index()] <= space.max_stages_per_device();
        if (!is_admitted) continue;
        next[more] += number;
        assignments += number;
      }
    }
    ways = std::move(next);
    recomputations *= 3.0;
    const double layouts =
        binomial(space.units() - 1, stages - 1) * assignments * static_cast<double>(space.buckets().size());
    size.layouts += layouts;
    size.plans += layouts * recomputations * static_cast<double>(std::size(kSchedules));
    if (size.layouts > kMostLayouts) return {.plans = kInfinite, .layouts = kInfinite};
  }
  return size;
}

SpaceSize size_of(const PlanSpace& space) {
  SpaceSize total;
  for (const std::int64_t count : space.micro_batch_counts()) {
    const SpaceSize size = size_with(space, count);
    total.plans += size.plans;
    total.layouts += size.layouts;
  }
  return total;
}

std::int64_t require_enumerable(const PlanSpace& space) {
  const SpaceSize size = size_of(space);
  if (size.layouts <= kMostLayouts && size.plans <= kMostPlans) return static_cast<std::int64_t>(size.plans);
  throw_input_error("--planner exact", "more than 3 million layouts or a billion plans",
                    "a problem with fewer units, devices or micro-batch counts, or another planner");
}

struct Layout {
  Seconds bound;
  Plan plan;
};

/// Makes the layouts of one M: lists of devices stage by stage, new devices of an interchange class in ascending order.
class LayoutMaker {
 public:
  LayoutMaker(const PlanSpace& space, CostModel& costs, std::int64_t count, std::vector<Layout>& to)
      : space_(space),
        costs_(costs),
        lists_(all_lists(space, count)),
        uses_(static_cast<std::size_t>(space.devices()), 0),
        to_(to) {
    plan_.micro_batches = count;
  }

  void make() { extend(0); }

 private:
  void extend(std::int32_t first) {
    if (first == space_.units()) {
      finish();
      return;
    }
    for (const auto& list : lists_) {
      if (take(list)) {
        for (std::int32_t end = first + 1; end <= space_.units(); ++end) {
          plan_.stages.push_back({.first_unit = first, .end_unit = end, .devices = list});
          extend(end);
          plan_.stages.pop_back();
        }
      }
      for (std::size_t i = 0; i < taken_.back(); ++i) --uses_[list[i].index()];
      taken_.pop_back();
    }
  }

  /// Counts the devices of a list as used until one is not admitted; taken_ says how many were.
  bool take(const std::vector<DeviceId>& list) {
    const auto classes = space_.problem().cluster->interchange_classes();
    taken_.push_back(0);
    for (const DeviceId device : list) {
      if (uses_[device.index()] == space_.max_stages_per_device()) return false;
      if (uses_[device.index()] == 0) {
        for (std::size_t lower = 0; lower < device.index(); ++lower) {
          if (classes[lower] == classes[device.index()] && uses_[lower] == 0) return false;
        }
      }
      ++uses_[device.index()];
      ++taken_.back();
    }
    return true;
  }

  void finish() {
    for (const Bytes bucket : space_.buckets()) {
      plan_.bucket = bucket;
      if (space_.canonical(plan_).bucket == bucket) to_.push_back({costs_.lower_bound(plan_), plan_});
    }
  }

  const PlanSpace& space_;
  CostModel& costs_;
  std::vector<std::vector<DeviceId>> lists_;
  std::vector<std::int64_t> uses_;
  std::vector<std::size_t> taken_;
  Plan plan_;
  std::vector<Layout>& to_;
};

/// Every schedule and recomputation of a layout, canonical ones only.
void add_plans(const Layout& layout, const PlanSpace& space, Pricer& pricer, std::vector<Individual>& to) {
  std::size_t combinations = 1;
  for (std::size_t s = 0; s < layout.plan.stages.size(); ++s) combinations *= 3;
  Plan plan = layout.plan;
  for (std::size_t combination = 0; combination < combinations; ++combination) {
    std::size_t rest = combination;
    for (Stage& stage : plan.stages) {
      stage.recompute = kRecomputations[rest % 3];
      rest /= 3;
    }
    if (pricer.is_ruled_out(plan)) {
      pricer.count_bounded(static_cast<std::int64_t>(std::size(kSchedules)));
      continue;
    }
    for (const Schedule schedule : kSchedules) {
      plan.schedule = schedule;
      if (space.canonical(plan) == plan) to.push_back({.plan = plan, .fitness = {}});
    }
  }
}

}  // namespace

// Layouts go in the order of their bounds without recomputation, which is no larger than with it: recomputation only
// adds work. So when a layout's bound is above the best time, all that follow are ruled out with it.
Optimum enumerate_optimum(Evaluator& evaluator, const SearchOptions& options) {
  GABRA_CHECK(options.objective == Objective::Time, "only times have lower bounds");
  SearchOptions unlimited = options;
  unlimited.max_evaluations = std::numeric_limits<std::int64_t>::max();
  unlimited.time_limit.reset();
  CostModel costs(evaluator.problem());
  const PlanSpace space(evaluator.problem(), options.space);
  Pricer pricer(evaluator, unlimited, space, costs);
  Optimum optimum;
  optimum.space_size = require_enumerable(space);
  std::vector<Layout> layouts;
  for (const std::int64_t count : space.micro_batch_counts()) {
    LayoutMaker(space, costs, count, layouts).make();
  }
  optimum.layouts = static_cast<std::int64_t>(layouts.size());
  std::sort(layouts.begin(), layouts.end(),
            [](const Layout& a, const Layout& b) { return std::tie(a.bound, a.plan) < std::tie(b.bound, b.plan); });
  for (std::size_t i = 0; i < layouts.size() && !pricer.is_over(); i += kLayoutsAtOnce) {
    const std::size_t end = std::min(i + kLayoutsAtOnce, layouts.size());
    if (pricer.is_ruled_out(layouts[i].plan)) break;
    std::vector<Individual> plans;
    for (std::size_t j = i; j < end; ++j) add_plans(layouts[j], space, pricer, plans);
    pricer.price(plans);
  }
  optimum.result = pricer.finish();
  return optimum;
}

}  // namespace gabra::ga
