// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/plan/evaluator.hpp"

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace gabra::cli {

/// What ended a search before its time.
struct Breakdown {
  std::exception_ptr error;
  std::string reason;
};

/// Another evaluator that may fail for good in the middle of a search: a job or workers that cannot be replaced. What
/// was answered until then counts, the rest is infeasible, and the search can be ended as Ctrl-C ends it. Nothing is
/// lost by a failure before the first answer: that is thrown on.
class GuardedEvaluator : public Evaluator {
 public:
  /// Both must outlive it. Several evaluators of one search may share a breakdown.
  GuardedEvaluator(Evaluator& inner, Breakdown& breakdown) : inner_(inner), breakdown_(breakdown) {}

  [[nodiscard]] const Problem& problem() const override { return inner_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    std::vector<Evaluation> answers(plans.size(), ended());
    guard([&] { answers = inner_.evaluate(plans); });
    return answers;
  }
  /// The answer of `evaluate_one`, guarded as evaluate().
  template <class EvaluateOne>
  [[nodiscard]] Evaluation guarded(EvaluateOne evaluate_one) {
    Evaluation answer = ended();
    guard([&] { answer = evaluate_one(); });
    return answer;
  }

 private:
  [[nodiscard]] static Infeasible ended() {
    Infeasible infeasible;
    infeasible.reason = Infeasible::Reason::Failed;
    infeasible.message = "not evaluated: the search was ended";
    return infeasible;
  }

  template <class Work>
  void guard(Work work) {
    if (breakdown_.error) return;
    try {
      work();
      has_answered_ = true;
    } catch (const Error& error) {
      if (!has_answered_) throw;
      breakdown_ = {std::current_exception(), error.what()};
    }
  }

  Evaluator& inner_;
  Breakdown& breakdown_;
  bool has_answered_ = false;
};

}  // namespace gabra::cli
