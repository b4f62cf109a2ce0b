// SPDX-License-Identifier: MIT
#include "gabra/exec/validate.hpp"

#include "gabra/calibration/measured_plan.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gabra::exec {
namespace {

/// What several rounds know of one plan.
struct Collected {
  MeasuredPlan plan;
  std::vector<Timeline> timelines;
};

void add(Collected& collected, Measurement measured) {
  MeasuredPlan& plan = collected.plan;
  plan.rounds.push_back(std::move(measured.steps));
  plan.peak_memory.resize(measured.devices.size());
  for (std::size_t d = 0; d < measured.devices.size(); ++d)
    plan.peak_memory[d] = std::max(plan.peak_memory[d], measured.devices[d].peak_memory);
  for (Timeline& timeline : measured.timelines) collected.timelines.push_back(std::move(timeline));
}

}  // namespace

void measure_plans(const ValidateJob& job, const MpiWorld& world, Monitor& monitor) {
  if (world.size() < job.ranks)
    throw_input_error("--plan", fmt::format("a plan of {} devices in a job of {} ranks", job.ranks, world.size()),
                      "a rank for every device");
  PlanMeasurer measurer(world, {.hardware = job.hardware, .threads_per_rank = job.threads_per_rank}, &monitor);
  std::vector<Collected> all(job.plans.size());
  for (std::int64_t round = 0; round < job.rounds; ++round) {
    // As equal as can be: 20 steps are 7, 7 and 6.
    const std::int64_t steps = (job.steps * (round + 1)) / job.rounds - (job.steps * round) / job.rounds;
    for (std::size_t i = 0; i < job.plans.size(); ++i) {
      if (world.rank() == 0 && !job.is_quiet)
        fmt::print(stderr, "gabra: measuring {}, round {} of {}\n", job.plans[i].path, round + 1, job.rounds);
      const PlanFile& file = job.plans[i].file;
      const MeasureOptions options{.warm_up = 2,
                                   .steps = std::max<std::int64_t>(1, steps),
                                   .give_up_above = {},
                                   .step_limit = job.timeout,
                                   .seed = job.seed,
                                   .keeps_timelines = true};
      auto result = measurer.measure(file.problem, file.plan, options);
      if (const auto* reason = std::get_if<Infeasible>(&result)) {
        all[i].plan.infeasible = reason->message;
        continue;
      }
      auto& measured = std::get<std::optional<Measurement>>(result);
      if (measured) add(all[i], std::move(*measured));
    }
  }
  if (world.rank() != 0) return;
  std::vector<MeasuredPlan> plans;
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].plan.path = job.plans[i].path;
    set_timelines(all[i].plan, all[i].timelines);
    plans.push_back(std::move(all[i].plan));
  }
  write_file_atomically(job.measured_file, to_json_text(plans));
}

}  // namespace gabra::exec
