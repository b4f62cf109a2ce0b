// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/compiler.hpp"
#include "gabra/plan/evaluator.hpp"
#include "gabra/pool/exec_job.hpp"
#include "gabra/pool/measurement_store.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gabra::pool {

struct ExecEvaluatorOptions {
  ExecJobOptions job;
  std::int64_t warm_up = 2;
  std::int64_t steps = 5;
  Seconds step_limit{60.0};
  Seconds building_time{20.0};  ///< of a model before its first step, at most; one more `step_limit` comes to it
  /// A plan all of whose steps so far took longer than the best plan's times this is clearly worse.
  double worse_factor = 1.3;
  MeasurementStore* store = nullptr;  ///< null: nothing is kept
  bool reuses = true;                 ///< false: what is in the store is measured again
  std::function<bool()> is_cancelled;
  /// Wall clock, seconds since 1970, for the store.
  std::function<std::int64_t()> now;
  /// A plan was measured, or found in the store; for people.
  std::function<void(const Plan& plan, const Evaluation& evaluation, bool is_reused)> on_measured;
};

/// How long a job may take for a plan before it is said to hang, `best` being the shortest step so far: longer than any
/// plan whose steps all keep the limit. Those that are clearly worse are cut short only after the warm-up and two
/// steps.
[[nodiscard]] Seconds patience(const ExecEvaluatorOptions& options, std::optional<Seconds> best);

/// Every plan is measured on real devices, in a job that is started once and kept. A plan over which the job dies, runs
/// out of memory or hangs is infeasible with the reason, and the job is replaced. Plans that the compiler refuses are
/// not measured. The same plan is measured once.
class ExecEvaluator : public Evaluator {
 public:
  ExecEvaluator(Problem problem, ExecEvaluatorOptions options);

  /// Starts the job, so that what it lacks is said before a search begins. Throws Error, and InputError for a network
  /// that no job can run.
  const JobGreeting& start() { return *job_.start(); }
  [[nodiscard]] const Problem& problem() const override { return compiler_.problem(); }
  /// After is_cancelled the rest is infeasible: "not measured". Throws Error when a job cannot be replaced.
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override;
  /// Measures a plan once more, to the end and whatever is known of it; evaluate() goes on to say what it said.
  [[nodiscard]] Evaluation measure_again(const Plan& plan);

  /// Plans that jobs were asked to measure, whatever came of them.
  [[nodiscard]] std::int64_t asked() const { return next_id_ - 1; }
  [[nodiscard]] std::int64_t measured() const { return measured_; }  ///< by a job
  [[nodiscard]] std::int64_t reused() const { return reused_; }      ///< from the store
  [[nodiscard]] std::int64_t failed() const { return failed_; }      ///< jobs lost over a plan, or steps over the limit
  [[nodiscard]] std::int64_t given_up() const { return given_up_; }  ///< clearly worse, not all steps
  [[nodiscard]] int job_starts() const { return job_.starts(); }

 private:
  [[nodiscard]] Evaluation evaluate_one(const Plan& plan);
  [[nodiscard]] Evaluation measure(const Plan& plan, bool is_repeated);
  [[nodiscard]] const MeasuredSteps* find_kept(const Plan& plan, const JobGreeting& greeting) const;
  [[nodiscard]] Evaluation take(const Plan& plan, const MeasuredSteps& measured, bool is_reused);

  Compiler compiler_;
  ExecEvaluatorOptions options_;
  ExecJob job_;
  std::map<Plan, Evaluation> known_;
  std::optional<Seconds> best_;
  std::int64_t next_id_ = 1;
  std::int64_t measured_ = 0, reused_ = 0, failed_ = 0, given_up_ = 0;
};

}  // namespace gabra::pool
