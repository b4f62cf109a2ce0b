// SPDX-License-Identifier: MIT
#include "hardware.hpp"

#include "beside.hpp"

#include <fmt/format.h>

#include <ctime>
#include <map>
#include <utility>

namespace gabra::cli {

Hardware::Hardware(const HardwareRequest& request, const Problem& problem, std::function<bool()> is_cancelled,
                   std::function<void(const MeasuredPlan& measured)> on_measured) {
  const auto path = request.store_path ? request.store_path : pool::default_store_path();
  if (path) store_ = std::make_unique<pool::MeasurementStore>(*path);
  pool::ExecEvaluatorOptions options;
  options.job.words = request.launcher;
  options.job.words.insert(
      options.job.words.end(),
      {program_beside("gabra-exec"), "measure", "--device", request.is_cuda ? "cuda" : "cpu", "--threads-per-rank",
       std::to_string(request.threads_per_rank), "--timeout", fmt::format("{}s", request.step_limit.value())});
  options.job.environment = {{"OMP_NUM_THREADS", std::to_string(request.threads_per_rank)}};
  options.job.ranks = static_cast<std::size_t>(request.ranks);
  options.warm_up = request.warm_up;
  options.steps = request.steps;
  options.step_limit = request.step_limit;
  options.store = store_.get();
  options.reuses = request.reuses;
  options.is_cancelled = std::move(is_cancelled);
  options.now = [] { return static_cast<std::int64_t>(std::time(nullptr)); };
  options.on_measured = [this, hear = std::move(on_measured)](const Plan& plan, const Evaluation& evaluation,
                                                              bool is_reused) {
    plans_.push_back({plan, evaluation, is_reused, std::nullopt});
    if (hear) hear(plans_.back());
  };
  evaluator_ = std::make_unique<pool::ExecEvaluator>(problem, std::move(options));
  greeting_ = evaluator_->start();
}

Hardware::Summary Hardware::summary() const {
  Summary summary;
  summary.job = greeting_;
  summary.measured = evaluator_->measured();
  summary.reused = evaluator_->reused();
  summary.failed = evaluator_->failed();
  summary.given_up = evaluator_->given_up();
  summary.job_starts = evaluator_->job_starts();
  summary.store = store_ ? store_->path() : "";
  summary.unreadable_lines = store_ ? store_->unreadable_lines() : 0;
  summary.plans = plans_;
  return summary;
}

std::string describe(const JobGreeting& job) {
  std::map<std::string, int> devices;
  for (const JobRank& rank : job.ranks) ++devices[rank.device];
  std::string text;
  for (const auto& [device, count] : devices) text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", count, device);
  if (job.hardware == "cpu")
    text += fmt::format(", {} {} each", job.threads_per_rank, job.threads_per_rank == 1 ? "core" : "cores");
  return text;
}

}  // namespace gabra::cli
