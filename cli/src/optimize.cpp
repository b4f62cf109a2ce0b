// SPDX-License-Identifier: MIT
#include "optimize.hpp"

#include "commands.hpp"
#include "gabra/plan/plan_file.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "output_file.hpp"
#include "progress.hpp"
#include "text.hpp"
#include "worker_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>

namespace gabra::cli {
namespace {

using Clock = std::chrono::steady_clock;

const std::vector<std::string> kPlanners{"gabra", "data-parallel", "sequential", "even-pipeline", "exact"};
const std::vector<std::string> kObjectives{"time", "energy", "memory"};

struct Request {
  Problem problem;
  ga::SearchOptions options;
  std::string planner;
  std::optional<Seconds> time_limit;
  PoolRequest pool;
};

void read_space(FlagReader& flags, std::int64_t global_batch, ga::SearchSpace& space) {
  space.micro_batch = flags.integer("--micro-batch", {1, global_batch});
  if (space.micro_batch && global_batch % *space.micro_batch != 0)
    flags.faults().add("--micro-batch", fmt::format("{}", *space.micro_batch),
                       fmt::format("a divisor of the global batch, {}", global_batch));
  space.min_micro_batch = flags.integer("--min-micro-batch", {1, global_batch}).value_or(1);
  if (space.micro_batch && *space.micro_batch < space.min_micro_batch)
    flags.faults().add("--min-micro-batch", fmt::format("{}", space.min_micro_batch),
                       fmt::format("at most --micro-batch, {}", *space.micro_batch));
  space.buckets = flags.sizes("--bucket");
  std::sort(space.buckets.begin(), space.buckets.end());
  space.buckets.erase(std::unique(space.buckets.begin(), space.buckets.end()), space.buckets.end());
}

Request read_request(FlagReader& flags, PlatformReader read_platform) {
  Request request;
  InputLoader loader(flags, read_platform);
  for (const char* flag : {"--network", "--cluster"})
    if (!flags.is_given(flag)) flags.faults().add(flag, "nothing", "a built-in name or a file (this is required)");
  request.problem.training = loader.training();
  read_space(flags, request.problem.training.global_batch, request.options.space);
  request.options.objective = static_cast<ga::Objective>(flags.choice("--objective", kObjectives).value_or(0));
  request.planner = kPlanners[flags.choice("--planner", kPlanners).value_or(0)];
  request.options.seed = flags.seed("--seed").value_or(request.options.seed);
  request.options.max_evaluations =
      flags.integer("--max-evaluations", {1, std::int64_t{1} << 40}).value_or(request.options.max_evaluations);
  request.time_limit = flags.seconds("--time-limit");
  request.pool = read_pool_request(flags);
  request.problem.network = loader.network("--network");
  request.problem.cluster = loader.cluster("--cluster");
  request.problem.profile = loader.profile("--profile");
  check_profile(request.problem, flags.faults());
  return request;
}

/// Counts what another evaluator prices.
class CountingEvaluator : public Evaluator {
 public:
  explicit CountingEvaluator(Evaluator& inner) : inner_(inner) {}

  [[nodiscard]] const Problem& problem() const override { return inner_.problem(); }
  [[nodiscard]] std::vector<Evaluation> evaluate(std::span<const Plan> plans) override {
    count_ += static_cast<std::int64_t>(plans.size());
    return inner_.evaluate(plans);
  }
  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  Evaluator& inner_;
  std::int64_t count_ = 0;
};

double objective_value(ga::Objective objective, const StepReport& report) {
  switch (objective) {
    case ga::Objective::Energy:
      return report.energy.value();
    case ga::Objective::Memory:
      return static_cast<double>(report.peak_memory.value());
    case ga::Objective::Time:
      break;
  }
  return report.step.value();
}

void take(OptimizeOutcome& outcome, const std::optional<Plan>& plan, const std::optional<StepReport>& report) {
  if (!plan || !report) return;
  if (outcome.report && objective_value(outcome.options.objective, *outcome.report) <=
                            objective_value(outcome.options.objective, *report))
    return;
  outcome.plan = plan;
  outcome.report = report;
}

/// The planner's own search, after the baselines.
void search(OptimizeOutcome& outcome, Evaluator& evaluator) {
  if (const ga::Baseline* family = outcome.baseline(outcome.planner)) {
    take(outcome, family->plan, family->report);
    outcome.closest_reason = family->closest_reason;
    return;
  }
  if (outcome.planner == "exact") {
    ga::Optimum optimum = ga::enumerate_optimum(evaluator, outcome.options);
    outcome.search = std::move(optimum.result);
    outcome.space_size = optimum.space_size;
  } else {
    outcome.search = ga::run_gabra(evaluator, outcome.options);
  }
  take(outcome, outcome.search.best, outcome.search.report);
  outcome.closest = outcome.search.closest;
  outcome.closest_reason = outcome.search.closest_reason;
  // They are among GABRA's seeds; a search that was ended early may not have come to them.
  for (const ga::Baseline& baseline : outcome.baselines) take(outcome, baseline.plan, baseline.report);
}

OptimizeOutcome optimize(Request request, Progress& progress) {
  const auto begin = Clock::now();
  OptimizeOutcome outcome;
  outcome.problem = request.problem;
  outcome.planner = request.planner;
  outcome.options = std::move(request.options);
  const auto is_late = [&] {
    return request.time_limit &&
           std::chrono::duration<double>(Clock::now() - begin).count() > request.time_limit->value();
  };
  outcome.options.is_cancelled = [&] { return Progress::is_interrupted() || is_late(); };
  outcome.options.on_generation = [&](std::int64_t generation, std::int64_t evaluations, Seconds best) {
    progress.show(generation, evaluations, best);
  };
  const std::unique_ptr<pool::PoolEvaluator> workers = make_pool(request.pool, outcome.problem);
  std::optional<sim::SimEvaluator> simulator;
  if (!workers) simulator.emplace(outcome.problem);
  CountingEvaluator evaluator(workers ? static_cast<Evaluator&>(*workers) : *simulator);
  outcome.baselines = ga::evaluate_baselines(evaluator, outcome.options);
  outcome.baseline_evaluations = evaluator.count();
  search(outcome, evaluator);
  if (workers) outcome.set_aside = workers->set_aside();
  progress.clear();
  outcome.is_interrupted = Progress::is_interrupted();
  outcome.options.is_cancelled = nullptr;
  outcome.options.on_generation = nullptr;
  outcome.elapsed = Seconds(std::chrono::duration<double>(Clock::now() - begin).count());
  return outcome;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n') + 1); }

}  // namespace

const ga::Baseline* OptimizeOutcome::baseline(std::string_view name) const {
  const auto found = std::find_if(baselines.begin(), baselines.end(),
                                  [&](const ga::Baseline& candidate) { return candidate.name == name; });
  return found == baselines.end() ? nullptr : &*found;
}

std::optional<Seconds> OptimizeOutcome::one_device_step() const {
  const ga::Baseline* one = baseline("one-device");
  if (one == nullptr || !one->report) return std::nullopt;
  return one->report->step;
}

int run_optimize(const FlagSet& flags, PlatformReader read_platform) {
  FaultList faults;
  FlagReader reader(flags, faults);
  Request request = read_request(reader, read_platform);
  const OutputFile plan_file(reader, "--output");
  faults.throw_if_any();
  Progress progress(!reader.is_on("--quiet"));
  const OptimizeOutcome outcome = optimize(std::move(request), progress);
  if (outcome.plan && plan_file)
    plan_file.write(to_json_text(PlanFile{
        .problem = outcome.problem, .plan = *outcome.plan, .profile_fingerprint = {}, .seed = outcome.options.seed}));
  if (reader.is_on("--json"))
    print_to_stdout(optimize_json(outcome));
  else if (outcome.plan)
    print_to_stdout(reader.is_on("--quiet") ? first_line(optimize_text(outcome)) : optimize_text(outcome));
  if (!outcome.plan) {
    fmt::print(stderr, "{}", no_plan_text(outcome));
    return kNoFeasiblePlan;
  }
  if (plan_file && !reader.is_on("--json") && !reader.is_on("--quiet"))
    print_to_stdout("plan written to " + plan_file.path() + "\n");
  return kDone;
}

}  // namespace gabra::cli
