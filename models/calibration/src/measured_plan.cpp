// SPDX-License-Identifier: MIT
#include "gabra/calibration/measured_plan.hpp"

#include "gabra/calibration/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

std::vector<double> values_of(const std::vector<Seconds>& times) {
  std::vector<double> values;
  for (const Seconds time : times) values.push_back(time.value());
  return values;
}

std::vector<double> all_steps(const MeasuredPlan& plan) {
  std::vector<double> steps;
  for (const std::vector<Seconds>& round : plan.rounds)
    for (const Seconds step : round) steps.push_back(step.value());
  return steps;
}

}  // namespace

std::size_t MeasuredPlan::step_count() const { return all_steps(*this).size(); }

std::string MeasuredPlan::steps_text() const {
  std::string text = fmt::format("{} step{} in {} round{}", step_count(), step_count() == 1 ? "" : "s", rounds.size(),
                                 rounds.size() == 1 ? "" : "s");
  if (disturbed_steps > 0)
    text += fmt::format(", {} more left out while somebody else used the machine", disturbed_steps);
  return text;
}

Seconds MeasuredPlan::median_step() const { return Seconds(median(all_steps(*this))); }

std::optional<double> MeasuredPlan::noise() const {
  std::vector<double> medians;
  for (const std::vector<Seconds>& round : rounds) medians.push_back(median(values_of(round)));
  const double middle = median_step().value();
  if (medians.size() < 2 || middle <= 0.0) return std::nullopt;
  const auto [low, high] = std::minmax_element(medians.begin(), medians.end());
  return (*high - *low) / 2.0 / middle;
}

void set_timelines(MeasuredPlan& plan, const std::vector<Timeline>& timelines) {
  const std::vector<double> steps = all_steps(plan);
  const double middle = median(steps);
  std::size_t nearest = 0;
  for (std::size_t i = 1; i < std::min(steps.size(), timelines.size()); ++i)
    if (std::abs(steps[i] - middle) < std::abs(steps[nearest] - middle)) nearest = i;
  if (timelines.empty()) return;
  plan.timeline = timelines[nearest];
  plan.typical.clear();
  for (std::size_t i = 0; i < plan.timeline.spans.size(); ++i) {
    std::vector<double> durations;
    for (const Timeline& timeline : timelines)
      durations.push_back((timeline.spans[i].end - timeline.spans[i].begin).value());
    plan.typical.emplace_back(median(std::move(durations)));
  }
}

}  // namespace gabra
