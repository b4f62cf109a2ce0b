// SPDX-License-Identifier: MIT
#include "gabra/exec/measure.hpp"

#include "all_timelines.hpp"
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/plan/compiler.hpp"
#include "gabra/plan/timeline_report.hpp"
#include "measured_rank.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

namespace gabra::exec {
namespace {

void check_can_run(const Problem& problem, const Program& program, const MpiWorld& world) {
  FaultList faults;
  if (program.devices.size() > static_cast<std::size_t>(world.size()))
    faults.add("--devices", fmt::format("{} ranks for a plan of {} devices", world.size(), program.devices.size()),
               "a rank for every device of the plan");
  for (const Layer& layer : problem.network->layers())
    if (std::holds_alternative<Opaque>(layer.attributes)) {
      faults.add("--network", fmt::format("the opaque layer {}: it has costs but no arithmetic", in_quotes(layer.name)),
                 "a network without opaque layers");
      break;
    }
  faults.throw_if_any();
}

/// Batch norm of a single value per channel has no variance to learn from; found here by all ranks alike.
std::optional<Infeasible> find_empty_statistics(const Problem& problem, const Plan& plan) {
  if (problem.training.global_batch != plan.micro_batches) return std::nullopt;
  for (const Layer& layer : problem.network->layers())
    if (std::holds_alternative<BatchNorm>(layer.attributes) && element_count(layer.output) == layer.output.front()) {
      Infeasible infeasible;
      infeasible.reason = Infeasible::Reason::Failed;
      infeasible.message =
          fmt::format("batch norm {} has a single value per channel in micro-batches of 1 sample", layer.name);
      return infeasible;
    }
  return std::nullopt;
}

/// Ranks of the job, in the order of Program::devices.
std::vector<int> ranks_of(const Problem& problem, const Program& program, const MpiWorld& world) {
  const bool has_all = problem.cluster->device_count() <= static_cast<std::size_t>(world.size());
  std::vector<int> ranks;
  for (const DeviceId device : program.devices)
    ranks.push_back(has_all ? static_cast<int>(device.index()) : static_cast<int>(ranks.size()));
  return ranks;
}

/// The undisturbed ones, or the least disturbed half; all where nobody looked.
std::vector<Seconds> steps_to_use(const RankRecord& record) {
  if (record.slowness.empty()) return record.steps;
  std::vector<Seconds> steps;
  for (const std::size_t i : undisturbed_steps(record.slowness, (record.steps.size() + 1) / 2))
    steps.push_back(record.steps[i]);
  return steps;
}

std::size_t nearest(const std::vector<Seconds>& steps, Seconds to) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < steps.size(); ++i)
    if (std::abs((steps[i] - to).value()) < std::abs((steps[best] - to).value())) best = i;
  return best;
}

}  // namespace

struct PlanMeasurer::Impl {
  /// Ranks that run a plan together; kept, for MPI has only so many communicators.
  struct Group {
    std::unique_ptr<MpiWorld> world;  // null: this rank is none of them
    std::unique_ptr<Communicator> communicator;
  };

  Group& group_of(const std::vector<int>& ranks);
  [[nodiscard]] Measurement assemble(const Problem& problem, Program program, const std::vector<int>& ranks,
                                     const std::vector<std::string>& packed) const;

  const MpiWorld& world;
  MeasureDevices devices;
  Monitor* monitor;
  std::map<std::vector<int>, Group> groups;
  LoadGauge gauge{};
};

PlanMeasurer::Impl::Group& PlanMeasurer::Impl::group_of(const std::vector<int>& ranks) {
  const auto [found, is_new] = groups.try_emplace(ranks);
  if (!is_new) return found->second;
  found->second.world = world.subset(std::find(ranks.begin(), ranks.end(), world.rank()) != ranks.end());
  if (found->second.world) found->second.communicator = make_communicator(devices.hardware, *found->second.world);
  return found->second;
}

Measurement PlanMeasurer::Impl::assemble(const Problem& problem, Program program, const std::vector<int>& ranks,
                                         const std::vector<std::string>& packed) const {
  Measurement result;
  std::vector<RankRecord> records;
  for (const int rank : ranks) records.push_back(unpack(packed[static_cast<std::size_t>(rank)]));
  result.end = records.front().end;
  result.steps = records.front().steps;
  result.slowness = records.front().slowness;
  result.median = median_of(steps_to_use(records.front()));
  std::vector<std::vector<Timeline::Span>> spans;
  std::vector<double> offsets;
  std::vector<Bytes> peaks(problem.cluster->device_count());
  for (std::size_t i = 0; i < records.size(); ++i) {
    const DeviceId device = program.devices[i];
    spans.push_back(records[i].spans);
    offsets.push_back(records[i].clock_offset);
    result.devices.push_back({device, ranks[i], records[i].peak_memory, records[i].own_steps});
    const auto base = static_cast<std::size_t>(MemoryCategory::Base);
    peaks[device.index()] = records[i].peak_memory + program.static_memory[device.index()][base];
  }
  result.timeline = merge_spans(program, spans, offsets);
  result.outside = result.steps[nearest(result.steps, result.median)] - result.timeline.end;
  result.report = report_of(*problem.cluster, program, result.timeline, peaks);
  result.report.step = result.median;
  result.report.samples_per_second = static_cast<double>(program.samples) / result.median.value();
  result.program = std::move(program);
  return result;
}

PlanMeasurer::PlanMeasurer(const MpiWorld& world, const MeasureDevices& devices, Monitor* monitor)
    : impl_(new Impl{world, devices, monitor, {}, {}}) {
  TensorMemory::install();
  at::set_num_threads(static_cast<int>(devices.threads_per_rank));
  bind_to_cores(world.local_rank(), devices.threads_per_rank);
}

PlanMeasurer::~PlanMeasurer() = default;

std::variant<std::optional<Measurement>, Infeasible> PlanMeasurer::measure(const Problem& problem, const Plan& plan,
                                                                           const MeasureOptions& options) {
  GABRA_CHECK(options.warm_up > 0 && options.steps > 0, "a step that warms up and one that counts");
  auto compiled = Compiler(problem).compile(plan);
  if (auto* reason = std::get_if<Infeasible>(&compiled)) return std::move(*reason);
  auto& program = std::get<Program>(compiled);
  check_can_run(problem, program, impl_->world);
  if (auto reason = find_empty_statistics(problem, plan)) return std::move(*reason);
  const std::vector<int> ranks = ranks_of(problem, program, impl_->world);
  const Impl::Group& group = impl_->group_of(ranks);
  RankRecord record;
  std::vector<std::vector<Timeline::Span>> all_spans;
  if (group.world) {
    const RankParts parts{impl_->devices.hardware, *group.world, *group.communicator, impl_->monitor,
                          impl_->devices.hardware == Hardware::Cpu ? &impl_->gauge : nullptr};
    record = run_rank(problem, program, options, parts);
    const Seconds median = median_of(steps_to_use(record));
    if (options.keeps_timelines) all_spans = record.all_spans;
    record.keep_spans_of(nearest(record.steps, median));
  }
  impl_->world.barrier();  // who has nothing to do naps here
  record.clock_offset = impl_->world.clock_offset();
  const std::vector<std::string> packed = impl_->world.gather(pack(record));
  std::vector<Timeline> timelines;
  if (options.keeps_timelines)
    timelines = gather_timelines(program, ranks, all_spans, record.clock_offset, impl_->world);
  if (impl_->world.rank() != 0) return std::nullopt;
  Measurement result = impl_->assemble(problem, std::move(program), ranks, packed);
  result.timelines = std::move(timelines);
  return result;
}

std::variant<std::optional<Measurement>, Infeasible> measure_plan(const Problem& problem, const Plan& plan,
                                                                  const MeasureOptions& options,
                                                                  const MeasureDevices& devices,
                                                                  const MpiWorld& world) {
  return PlanMeasurer(world, devices).measure(problem, plan, options);
}

Seconds median_of(std::vector<Seconds> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2.0;
}

}  // namespace gabra::exec
