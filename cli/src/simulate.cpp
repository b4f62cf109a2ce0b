// SPDX-License-Identifier: MIT
#include "simulate.hpp"

#include "commands.hpp"
#include "gabra/ga/baselines.hpp"
#include "gabra/plan/compiler.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "output_file.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace gabra::cli {
namespace {

const std::vector<std::string> kSchedules{"sequential", "gpipe", "1f1b"};
constexpr int kColumnsWithoutTerminal = 100;

/// The fewest micro-batches that feed every replica and fill every stage, as far as the global batch can be divided.
std::int64_t default_micro_batches(std::int64_t global_batch, const std::vector<Stage>& stages) {
  auto wanted = static_cast<std::int64_t>(stages.size());
  for (const Stage& stage : stages) wanted = std::max(wanted, static_cast<std::int64_t>(stage.devices.size()));
  for (std::int64_t count = wanted; count <= std::min(global_batch, 1000 * wanted); ++count)
    if (global_batch % count == 0) return count;
  return global_batch;
}

void read_overrides(FlagReader& flags, Plan& plan) {
  if (const auto count = flags.integer("--micro-batches", {1, std::int64_t{1} << 40})) plan.micro_batches = *count;
  if (const auto schedule = flags.choice("--schedule", kSchedules)) plan.schedule = static_cast<Schedule>(*schedule);
  if (const auto bucket = flags.bytes("--bucket")) plan.bucket = *bucket;
}

void read_plan_file(FlagReader& flags, InputLoader& loader, SimulateRequest& request) {
  flags.refuse({"--stages", "--global-batch", "--precision", "--optimizer", "--gradient-sum", "--clip-norm"},
               "together with --plan, which has its own");
  const auto network = loader.network("--network");
  auto file = loader.plan("--plan", loader.cluster("--cluster"), loader.profile("--profile"));
  if (!file) return;
  if (network != nullptr && network->fingerprint() != file->problem.network->fingerprint())
    flags.faults().add("--network", fmt::format("another network than the plan's, {}", file->problem.network->name()),
                       "the plan's network, or leave the flag out");
  request.problem = file->problem;
  request.plan = file->plan;
  request.seed = file->seed;
  if (file->problem.profile == nullptr) request.missing_profile = file->profile_fingerprint;
  read_overrides(flags, request.plan);
}

void read_stages(FlagReader& flags, InputLoader& loader, SimulateRequest& request) {
  for (const char* flag : {"--network", "--cluster", "--stages"})
    if (!flags.is_given(flag)) flags.faults().add(flag, "nothing", "this flag, or --plan");
  request.problem.training = loader.training();
  request.problem.network = loader.network("--network");
  request.problem.cluster = loader.cluster("--cluster");
  request.problem.profile = loader.profile("--profile");
  const auto stages = flags.text("--stages");
  if (stages && request.problem.network != nullptr && request.problem.cluster != nullptr)
    collect_faults(flags.faults(), [&] {
      request.plan.stages = parse_stages(*stages, *request.problem.network, *request.problem.cluster);
      request.plan.micro_batches = default_micro_batches(request.problem.training.global_batch, request.plan.stages);
    });
  read_overrides(flags, request.plan);
}

SimulateRequest read_simulation(FlagReader& flags, PlatformReader read_platform) {
  SimulateRequest request;
  InputLoader loader(flags, read_platform);
  flags.refuse({"--bytes", "--devices"}, "without --collective");
  if (flags.is_given("--plan"))
    read_plan_file(flags, loader, request);
  else
    read_stages(flags, loader, request);
  check_profile(request.problem, flags.faults());
  if (flags.faults().empty())
    for (const Fault& fault : find_plan_faults(request.problem, request.plan))
      flags.faults().add("plan " + fault.where, fault.seen, fault.allowed);
  return request;
}

struct Pictures {
  explicit Pictures(FlagReader& flags)
      : trace(flags, "--trace"), svg(flags, "--svg"), paje(flags, "--paje"), timeline(flags, "--timeline") {}

  void write(const StepPicture& picture) const {
    if (trace) trace.write(to_perfetto_trace(picture));
    if (svg) svg.write(to_svg(picture));
    if (paje) paje.write(to_paje_trace(picture));
    if (timeline) timeline.write(to_timeline_json(picture));
  }

  OutputFile trace, svg, paje, timeline;
};

int terminal_columns() {
  winsize size = {};
  if (::isatty(STDOUT_FILENO) != 0 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return kColumnsWithoutTerminal;
}

std::optional<Seconds> one_device_step(sim::SimEvaluator& evaluator) {
  for (const ga::Baseline& baseline : ga::evaluate_baselines(evaluator, ga::SearchOptions{}))
    if (baseline.name == "one-device" && baseline.report) return baseline.report->step;
  return std::nullopt;
}

std::string plan_text(const SimulateRequest& request) {
  std::optional<std::uint64_t> fingerprint = request.missing_profile;
  if (request.problem.profile != nullptr) fingerprint = request.problem.profile->fingerprint();
  return to_json_text(PlanFile{request.problem, request.plan, fingerprint, request.seed});
}

int simulate(const SimulateRequest& request, FlagReader& flags, const Pictures& pictures, const OutputFile& plan_file) {
  sim::SimEvaluator evaluator(request.problem);
  const auto compiled = evaluator.compiler().compile(request.plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled)) {
    if (flags.is_on("--json")) print_to_stdout(infeasible_json(request, *reason));
    fmt::print(stderr, "gabra: the plan cannot run: {}\n", infeasible_text(*reason, *request.problem.cluster));
    return kNoFeasiblePlan;
  }
  const auto& program = std::get<Program>(compiled);
  const sim::Simulation simulation = evaluator.simulator().run(program);
  const StepPicture picture{request.problem, program, simulation.timeline};
  pictures.write(picture);
  if (plan_file) plan_file.write(plan_text(request));
  const SimulateOutcome outcome{request, simulation.report, one_device_step(evaluator)};
  print_to_stdout(flags.is_on("--json") ? simulate_json(outcome) : simulate_text(outcome));
  if (flags.is_on("--gantt")) print_to_stdout("\n" + to_gantt_text(picture, terminal_columns()));
  return kDone;
}

}  // namespace

int run_simulate(const FlagSet& flags, PlatformReader read_platform) {
  FaultList faults;
  FlagReader reader(flags, faults);
  if (reader.is_given("--collective")) return run_collective(reader, read_platform);
  if (reader.is_on("--json") && reader.is_on("--gantt"))
    faults.add("--gantt", "this flag together with --json", "one of the two");
  const SimulateRequest request = read_simulation(reader, read_platform);
  const Pictures pictures(reader);
  const OutputFile plan_file(reader, "--output");
  faults.throw_if_any();
  return simulate(request, reader, pictures, plan_file);
}

}  // namespace gabra::cli
