// SPDX-License-Identifier: MIT
#include "optimize.hpp"

#include "commands.hpp"
#include "gabra/plan/plan_file.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "guarded_evaluator.hpp"
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
  HardwareRequest hardware;
};

constexpr std::int64_t kMeasuredEvaluations = 200;  // with --evaluator exec

void read_space(FlagReader& flags, std::int64_t global_batch, ga::SearchSpace& space) {
  space.micro_batch = flags.integer("--micro-batch", {1, global_batch});
  if (space.micro_batch && global_batch % *space.micro_batch != 0)
    flags.faults().add("--micro-batch", fmt::format("{}", *space.micro_batch),
                       fmt::format("a divisor of the global batch, {}", global_batch));
  space.min_micro_batch = flags.integer("--min-micro-batch", {1, global_batch}).value_or(1);
  if (space.micro_batch && *space.micro_batch < space.min_micro_batch)
    flags.faults().add("--min-micro-batch", fmt::format("{}", space.min_micro_batch),
                       fmt::format("at most --micro-batch, {}", *space.micro_batch));
  space.max_stages_per_device =
      flags.integer("--max-stages-per-device", {1, 1024}).value_or(space.max_stages_per_device);
  space.buckets = flags.sizes("--bucket");
  std::sort(space.buckets.begin(), space.buckets.end());
  space.buckets.erase(std::unique(space.buckets.begin(), space.buckets.end()), space.buckets.end());
}

/// What the search does otherwise when plans are measured.
void restrict_to_hardware(FlagReader& flags, Request& request) {
  if (request.options.objective != ga::Objective::Time)
    flags.refuse({"--objective"}, "with --evaluator exec or both: times are measured");
  if (request.hardware.priced_by == PricedBy::Both && request.planner != "gabra")
    flags.refuse({"--planner"}, "with --evaluator both");
  request.options.uses_bounds = false;  // the cost model's; devices may be faster
  if (request.hardware.priced_by != PricedBy::Exec) return;
  flags.refuse({"--jobs", "--ray", "--plan-timeout"}, "with --evaluator exec: nothing is simulated");
  request.options.plans_per_call = 1;  // so that a limit of time is kept
  if (!flags.is_given("--max-evaluations")) request.options.max_evaluations = kMeasuredEvaluations;
}

Request read_request(FlagReader& flags, PlatformReader read_platform) {
  Request request;
  InputLoader loader(flags, read_platform);
  request.hardware = read_hardware_request(flags);
  const bool is_cluster_known = request.hardware.ranks > 0 && !request.hardware.is_cuda;
  for (const char* flag : {"--network", "--cluster"})
    if (!flags.is_given(flag) && !(is_cluster_known && flag == std::string_view("--cluster")))
      flags.faults().add(flag, "nothing", "a built-in name or a file (this is required)");
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
  if (is_cluster_known && !flags.is_given("--cluster"))
    collect_faults(flags.faults(), [&] {
      request.problem.cluster =
          std::make_shared<const Cluster>(load_cluster(request.hardware.cluster_name(), read_platform));
    });
  request.problem.profile = loader.profile("--profile");
  check_profile(request.problem, flags.faults());
  check_can_measure(request.hardware, request.problem, flags.faults());
  for (const std::string& note : take_calibrated_threads(flags, request.problem, request.hardware))
    fmt::print(stderr, "gabra: note: {}\n", note);
  if (request.hardware.is_on()) restrict_to_hardware(flags, request);
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

/// Baselines, then the planner's search, every plan priced by `evaluator`.
void price(OptimizeOutcome& outcome, Evaluator& inner) {
  CountingEvaluator evaluator(inner);
  outcome.baselines = ga::evaluate_baselines(evaluator, outcome.options);
  outcome.baseline_evaluations = evaluator.count();
  search(outcome, evaluator);
}

/// The simulator of this process, or workers' (--jobs, --ray).
class Simulation {
 public:
  Simulation(const Request& request, OptimizeOutcome& outcome)
      : outcome_(outcome), workers_(make_pool(request.pool, outcome.problem)) {
    if (!workers_) own_.emplace(outcome.problem);
  }
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation() {
    if (workers_) outcome_.set_aside = workers_->set_aside();
  }
  [[nodiscard]] Evaluator& evaluator() { return workers_ ? static_cast<Evaluator&>(*workers_) : *own_; }

 private:
  OptimizeOutcome& outcome_;
  std::unique_ptr<pool::PoolEvaluator> workers_;
  std::optional<sim::SimEvaluator> own_;
};

/// --evaluator sim.
void simulate(OptimizeOutcome& outcome, const Request& request, Breakdown& breakdown) {
  Simulation simulation(request, outcome);
  GuardedEvaluator evaluator(simulation.evaluator(), breakdown);
  price(outcome, evaluator);
}

/// --evaluator both: the search in simulation, promoted plans on hardware.
void run_loop(OptimizeOutcome& outcome, const Request& request, Hardware& hardware, Breakdown& breakdown,
              std::vector<ga::Promotion>& promotions) {
  Simulation simulation(request, outcome);
  GuardedEvaluator simulated(simulation.evaluator(), breakdown);
  GuardedEvaluator measured(hardware.evaluator(), breakdown);
  ga::LoopOptions options;
  options.search = outcome.options;
  options.measurements = request.hardware.measurements;
  options.measurement_time = request.hardware.measurement_time;
  options.made = [&] { return hardware.evaluator().asked(); };
  options.measure_again = [&](const Plan& plan) {
    return measured.guarded([&] { return hardware.evaluator().measure_again(plan); });
  };
  ga::LoopResult result = ga::run_hardware_loop(simulated, measured, options);
  outcome.plan = std::move(result.best);
  outcome.report = std::move(result.report);
  outcome.closest = std::move(result.closest);
  outcome.closest_reason = std::move(result.closest_reason);
  outcome.search = std::move(result.search);
  outcome.baselines = std::move(result.baselines);
  outcome.measured_baselines = std::move(result.measured_baselines);
  promotions = std::move(result.promotions);
  outcome.hardware = hardware.summary();
  outcome.hardware->correction = std::move(result.correction);
}

/// --evaluator exec and both.
void measure(OptimizeOutcome& outcome, const Request& request, Progress& progress, Breakdown& breakdown) {
  outcome.priced_by = request.hardware.priced_by;
  std::int64_t count = 0;
  Seconds best;
  Hardware hardware(request.hardware, outcome.problem, outcome.options.is_cancelled, [&](const MeasuredPlan& measured) {
    ++count;
    if (const auto* report = std::get_if<StepReport>(&measured.evaluation))
      if (best.value() == 0.0 || report->step < best) best = report->step;
    progress.show_measured(count, best);
  });
  if (request.hardware.priced_by == PricedBy::Exec) {
    outcome.options.on_generation = nullptr;
    GuardedEvaluator measured(hardware.evaluator(), breakdown);
    price(outcome, measured);
    outcome.hardware = hardware.summary();
    return;
  }
  std::vector<ga::Promotion> promotions;
  run_loop(outcome, request, hardware, breakdown, promotions);
  // Plans that the compiler refuses were promoted, not measured.
  std::size_t next = 0;
  for (MeasuredPlan& measured : outcome.hardware->plans) {
    while (next < promotions.size() && promotions[next].plan != measured.plan) ++next;
    if (next < promotions.size()) measured.promotion = std::move(promotions[next++]);
  }
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
  Breakdown breakdown;
  outcome.options.is_cancelled = [&] { return Progress::is_interrupted() || is_late() || breakdown.error; };
  outcome.options.on_generation = [&](std::int64_t generation, std::int64_t evaluations, Seconds best) {
    progress.show(generation, evaluations, best);
  };
  if (request.hardware.is_on())
    measure(outcome, request, progress, breakdown);
  else
    simulate(outcome, request, breakdown);
  progress.clear();
  if (breakdown.error && !outcome.plan) std::rethrow_exception(breakdown.error);
  outcome.breakdown = breakdown.reason;
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

bool OptimizeOutcome::is_measured(const ga::Baseline& baseline) const {
  return priced_by == PricedBy::Exec || measured_baselines.contains(baseline.name);
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
  if (!outcome.breakdown.empty())
    fmt::print(stderr, "gabra: the search ended before its time: {}\n", outcome.breakdown);
  if (!outcome.plan) {
    fmt::print(stderr, "{}", no_plan_text(outcome));
    return kNoFeasiblePlan;
  }
  if (plan_file && !reader.is_on("--json") && !reader.is_on("--quiet"))
    print_to_stdout("plan written to " + plan_file.path() + "\n");
  return kDone;
}

}  // namespace gabra::cli
