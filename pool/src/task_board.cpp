// SPDX-License-Identifier: MIT
#include "task_board.hpp"

#include "gabra/core/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace gabra::pool {
namespace {

constexpr int kMostWeight = 4;
constexpr int kCrashWeight = 2;
constexpr int kOutsideWeight = 1;

/// Grows with the number of instructions.
std::int64_t rough_size(const Plan& plan) {
  std::size_t replicas = 0;
  for (const Stage& stage : plan.stages) replicas += stage.devices.size();
  return plan.micro_batches * static_cast<std::int64_t>(plan.stages.size()) + static_cast<std::int64_t>(replicas);
}

}  // namespace

void TaskBoard::begin(std::span<const Plan> plans) {
  first_ += static_cast<std::int64_t>(tasks_.size());
  plans_ = plans;
  tasks_.assign(plans.size(), {});
  open_ = plans.size();
  std::vector<std::int64_t> sizes;
  for (const Plan& plan : plans) sizes.push_back(rough_size(plan));
  queue_.resize(plans.size());
  std::iota(queue_.begin(), queue_.end(), first_);
  std::stable_sort(queue_.begin(), queue_.end(),
                   [&](std::int64_t a, std::int64_t b) { return sizes[index(a)] > sizes[index(b)]; });
}

bool TaskBoard::is_open(std::int64_t id) const {
  return id >= first_ && index(id) < tasks_.size() && !tasks_[index(id)].evaluation;
}

std::int64_t TaskBoard::take() {
  GABRA_CHECK(!queue_.empty(), "no plan waits");
  const std::int64_t id = queue_.front();
  queue_.pop_front();
  return id;
}

bool TaskBoard::answer(std::int64_t id, Evaluation evaluation) {
  if (!is_open(id)) return false;
  tasks_[index(id)].evaluation = std::move(evaluation);
  --open_;
  return true;
}

void TaskBoard::put_back(std::int64_t id) {
  if (is_open(id)) queue_.push_back(id);
}

std::optional<SetAside> TaskBoard::blame(std::int64_t id, Blame kind, const std::string& reason) {
  if (!is_open(id)) return std::nullopt;
  Task& task = tasks_[index(id)];
  ++task.ends;
  task.weight += kind == Blame::Crash ? kCrashWeight : kOutsideWeight;
  if (task.weight < kMostWeight) return std::nullopt;
  SetAside result{.plan = plan(id), .reason = fmt::format("{} workers ended at it, the last: {}", task.ends, reason)};
  Infeasible infeasible;
  infeasible.reason = Infeasible::Reason::Failed;
  infeasible.message = "set aside: " + result.reason;
  answer(id, std::move(infeasible));
  return result;
}

std::vector<Evaluation> TaskBoard::finish() {
  GABRA_CHECK(is_done(), "every plan is answered");
  std::vector<Evaluation> result;
  result.reserve(tasks_.size());
  for (Task& task : tasks_) result.push_back(*std::move(task.evaluation));
  return result;
}

}  // namespace gabra::pool
