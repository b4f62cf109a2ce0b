// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/plan/evaluator.hpp"
#include "gabra/pool/line_process.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gabra::pool {

struct PoolOptions {
  LineProcessOptions command;   ///< a worker; or a bridge, which speaks for many
  std::string build{};          ///< of this program; a worker must be of the same
  std::int64_t processes = 1;   ///< so many are started
  bool is_bridge = false;       ///< it says itself how many plans it takes, and finds lost and hanging workers itself
  std::string name = "worker";  ///< in messages
  Seconds plan_limit{60.0};     ///< without an answer for so long, or 20 times the longest wait so far, it hangs
  Seconds bridge_limit{120.0};  ///< a bridge that says nothing for so long hangs; it says something every few seconds
  Seconds start_limit{60.0};    ///< to the first line of one that was started
  Seconds first_pause{0.1};     ///< after a start that failed, before another; doubled each time up to 6.4 s
  std::function<void(const std::string& line)> log{};   ///< what happened to workers, for people
  std::function<void(const std::string& line)> warn{};  ///< a plan that is set aside; none: that goes to `log`
};

/// A plan that ended several workers, and what is known of it.
struct SetAside {
  Plan plan;
  std::string reason;
};

/// Hands plans to child processes, several to each at a time, and gives back their answers in the order of the plans.
/// A child that dies, hangs (no answer within the limit) or is stopped is replaced, and the plans that it had go to
/// others; the one that it was at is remembered. A plan is set aside as infeasible, Reason::Failed, when two workers
/// crashed or hung on it; or four were killed or stopped from outside (SIGKILL, SIGTERM, SIGSTOP, ...), which may be
/// chance or the kernel's lack of memory: such an end counts half. So what is returned depends only on the plans,
/// whatever happens to workers.
///
/// Throws Error when work cannot go on: a worker that cannot be started or ends three times before it is ready (eight
/// times in a row where it was ready before, with growing pauses), one of another build, a bridge that gives up.
class PoolEvaluator : public Evaluator {
 public:
  /// Starts the processes; does not wait for them.
  PoolEvaluator(Problem problem, PoolOptions options);
  ~PoolEvaluator() override;

  [[nodiscard]] const Problem& problem() const override;
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override;
  [[nodiscard]] const std::vector<SetAside>& set_aside() const;
  /// Workers that were replaced so far.
  [[nodiscard]] std::int64_t replaced() const;
  /// Process ids of the children that run now.
  [[nodiscard]] std::vector<pid_t> process_ids() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace gabra::pool
