// SPDX-License-Identifier: MIT
#include "gabra/exec/measure_job.hpp"

#include "gabra/core/error.hpp"
#include "gabra/exec/machine.hpp"
#include "gabra/plan/job_lines.hpp"

#include <cstdlib>
#include <numeric>
#include <optional>
#include <utility>

namespace gabra::exec {
namespace {

constexpr char kGoOn = '+';
constexpr char kEnd = '-';

/// The next line of any length; none at the end of the input. Empty lines are passed over.
std::optional<std::string> read_line(std::FILE* in) {
  char* buffer = nullptr;
  std::size_t size = 0;
  std::optional<std::string> line;
  for (::ssize_t count = 0; !line && (count = ::getline(&buffer, &size, in)) >= 0;) {
    std::string text(buffer, static_cast<std::size_t>(count));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (!text.empty()) line = std::move(text);
  }
  std::free(buffer);
  return line;
}

void write_line(std::FILE* out, const std::string& line) {
  const std::string text = line + "\n";
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size() || std::fflush(out) != 0)
    throw Error("the search does not read the answers any more");
}

JobGreeting greeting_of(const MeasureJob& job, const MpiWorld& world) {
  JobGreeting greeting;
  greeting.version = job.version;
  greeting.git = job.git;
  greeting.hardware = job.devices.hardware == Hardware::Cuda ? "cuda" : "cpu";
  greeting.threads_per_rank = job.devices.threads_per_rank;
  const JobRank own = describe_rank(job.devices.hardware, world.local_rank());
  for (const std::string& packed : world.gather(pack(own))) greeting.ranks.push_back(unpack_rank(packed));
  return greeting;
}

/// `line` of rank 0 on all ranks; none: the input has ended. Who waits for it naps.
std::optional<std::string> share(const std::optional<std::string>& line, const MpiWorld& world) {
  world.barrier();
  const std::string text = world.broadcast(line ? kGoOn + *line : std::string(1, kEnd));
  if (text.front() == kEnd) return std::nullopt;
  return text.substr(1);
}

/// Without the steps beside which somebody else used the machine, where they were looked for; at least half of those
/// asked for stay.
MeasuredSteps to_lines(Measurement measured, std::int64_t steps_asked_for) {
  MeasuredSteps result;
  result.end = static_cast<MeasuredSteps::End>(measured.end);
  result.report = std::move(measured.report);
  std::vector<std::size_t> used(measured.steps.size());
  std::iota(used.begin(), used.end(), std::size_t{0});
  if (!measured.slowness.empty())
    used = undisturbed_steps(measured.slowness, static_cast<std::size_t>((steps_asked_for + 1) / 2));
  for (const std::size_t i : used) {
    result.steps.push_back(measured.steps[i]);
    if (i < measured.timelines.size()) result.timelines.push_back(std::move(measured.timelines[i]));
  }
  result.disturbed = static_cast<std::int64_t>(measured.steps.size() - used.size());
  return result;
}

/// The reply; its result is only right at rank 0.
MeasureReply answer(const std::string& line, PlanMeasurer& measurer) {
  MeasureReply reply;
  reply.id = request_id(line);
  try {
    const MeasureRequest request = parse_measure_request(line, "request");
    MeasureOptions options;
    options.warm_up = request.warm_up;
    options.steps = request.steps;
    options.most_steps = request.most_steps;
    options.give_up_above = request.give_up_above;
    options.step_limit = request.step_limit;
    options.seed = request.seed;
    options.keeps_timelines = request.keeps_timelines;
    auto result = measurer.measure(request.plan.problem, request.plan.plan, options);
    if (auto* reason = std::get_if<Infeasible>(&result))
      reply.result = std::move(*reason);
    else if (auto& measured = std::get<0>(result); measured)
      reply.result = to_lines(std::move(*measured), request.steps);
  } catch (const InputError& error) {
    reply.result = Refused{error.faults()};
  }
  return reply;
}

}  // namespace

void serve_measurements(const MeasureJob& job, const MpiWorld& world, Monitor& monitor, std::FILE* in, std::FILE* out) {
  PlanMeasurer measurer(world, job.devices, &monitor);
  const bool is_root = world.rank() == 0;
  const JobGreeting greeting = greeting_of(job, world);
  if (is_root) write_line(out, to_line(greeting));
  while (const auto line = share(is_root ? read_line(in) : std::nullopt, world)) {
    const MeasureReply reply = answer(*line, measurer);
    if (is_root) write_line(out, to_line(reply));
  }
}

}  // namespace gabra::exec
