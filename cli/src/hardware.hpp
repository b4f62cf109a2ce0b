// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/ga/hardware_loop.hpp"
#include "gabra/plan/evaluator.hpp"
#include "gabra/pool/exec_evaluator.hpp"
#include "hardware_request.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gabra::cli {

/// A plan that was priced by hardware, for output.
struct MeasuredPlan {
  Plan plan;
  Evaluation evaluation;
  bool is_reused = false;
  std::optional<ga::Promotion> promotion;  ///< with --evaluator both
};

/// The job of a search, its store, and what they did.
class Hardware {
 public:
  /// Starts the job. `on_measured` hears of every plan. Throws Error and InputError.
  Hardware(const HardwareRequest& request, const Problem& problem, std::function<bool()> is_cancelled,
           std::function<void(const MeasuredPlan& measured)> on_measured);

  [[nodiscard]] pool::ExecEvaluator& evaluator() { return *evaluator_; }

  struct Summary {
    JobGreeting job;
    std::int64_t measured = 0, reused = 0, failed = 0, given_up = 0;
    int job_starts = 0;
    std::string store;
    std::size_t unreadable_lines = 0;
    std::vector<MeasuredPlan> plans;  ///< in the order of their measurement
    std::string correction;           ///< with --evaluator both
  };
  [[nodiscard]] Summary summary() const;

 private:
  std::unique_ptr<pool::MeasurementStore> store_;
  std::unique_ptr<pool::ExecEvaluator> evaluator_;
  JobGreeting greeting_;
  std::vector<MeasuredPlan> plans_;
};

/// "2 x AMD EPYC, 1 thread each (cpu)".
[[nodiscard]] std::string describe(const JobGreeting& job);

}  // namespace gabra::cli
