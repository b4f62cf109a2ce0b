// SPDX-License-Identifier: MIT
#include "validate_rounds.hpp"

#include "beside.hpp"
#include "gabra/core/check.hpp"
#include "gabra/pool/exec_job.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gabra::cli {
namespace {

constexpr std::int64_t kWarmUp = 2;
constexpr std::int64_t kMostOfSteps = 3;  // as many are taken at most while others disturb the machine

pool::ExecJobOptions job_options(const ValidateJob& job) {
  pool::ExecJobOptions options;
  options.words = job.launcher;
  options.words.push_back(program_beside("gabra-exec"));
  const std::vector<std::string> arguments = job.measure_arguments();
  options.words.insert(options.words.end(), arguments.begin(), arguments.end());
  options.environment = {{"OMP_NUM_THREADS", std::to_string(job.devices.threads_per_rank)}};
  options.ranks = job.ranks;
  return options;
}

class Rounds {
 public:
  Rounds(const ValidateJob& job, std::vector<ValidatedPlan>& plans, Progress& progress)
      : job_(job), plans_(plans), progress_(progress), ranks_(job_options(job)) {}

  RoundsEnd run() {
    for (round_ = 0; round_ < job_.rounds; ++round_)
      for (std::size_t i = 0; i < plans_.size() && !is_over(); ++i)
        if (plans_[i].left_out.empty()) measure(i);
    if (end_.is_interrupted) leave_out_rest("not measured: interrupted");
    return end_;
  }

 private:
  bool is_over() {
    end_.is_interrupted = end_.is_interrupted || Progress::is_interrupted();
    return end_.is_interrupted || is_without_job_;
  }

  void measure(std::size_t i) {
    progress_.show(fmt::format("measuring {}, round {} of {}", plans_[i].step.name, round_ + 1, job_.rounds));
    MeasureRequest request;
    request.id = next_id_++;
    request.warm_up = kWarmUp;
    request.steps = job_.steps_of(round_);
    request.most_steps = kMostOfSteps * request.steps;
    request.step_limit = job_.timeout;
    request.seed = job_.seed;
    request.keeps_timelines = true;
    request.plan = job_.plans[i].file;
    // Ranks that wait for each other say so after the timeout themselves.
    const Seconds limit = job_.timeout * static_cast<double>(2 + kWarmUp + request.most_steps);
    try {
      if (const auto reply = ranks_.measure(request, limit, &Progress::is_interrupted)) take(i, *reply);
    } catch (const InputError&) {
      throw;
    } catch (const Error& error) {  // no job
      if (!end_.has_lost_a_job) throw;
      go_on_without_job(error.what());
    }
  }

  void take(std::size_t i, const MeasureReply& reply) {
    ValidatedPlan& plan = plans_[i];
    if (const auto* measured = std::get_if<MeasuredSteps>(&reply.result)) {
      if (measured->end == MeasuredSteps::End::OverLimit)
        leave_out(plan, fmt::format("a step took {}, over --timeout {}", to_text(measured->steps.back()),
                                    to_text(job_.timeout)));
      else
        add(plan, *measured);
    } else if (const auto* refused = std::get_if<Refused>(&reply.result)) {
      if (!job_.is_set) throw InputError(refused->faults);
      leave_out(plan, refused->faults.empty() ? "refused" : to_text(refused->faults.front()));
    } else {
      const auto& reason = std::get<Infeasible>(reply.result);
      leave_out(plan, infeasible_text(reason, *plan.step.problem.cluster));
      if (ranks_.is_running()) return;  // it says itself what it cannot measure
      end_.has_lost_a_job = true;
      if (job_.launcher.empty()) go_on_without_job("the job that this process is part of has ended");
    }
  }

  void add(ValidatedPlan& plan, const MeasuredSteps& measured) {
    const Program& program = plan.step.program;
    auto& sum = plan.step.measured;
    sum.rounds.push_back(measured.steps);
    sum.disturbed_steps += measured.disturbed;
    for (const Timeline& timeline : measured.timelines) {
      GABRA_CHECK(timeline.spans.size() == program.instructions.size(), "ranks run the Program that was simulated");
      plan.timelines.push_back(timeline);
    }
    sum.peak_memory.resize(program.devices.size());
    for (std::size_t d = 0; d < program.devices.size(); ++d)
      for (const DeviceReport& device : measured.report.devices) {
        if (device.device != program.devices[d]) continue;
        const auto base = static_cast<std::size_t>(MemoryCategory::Base);
        const Bytes tensors = device.peak_memory - program.static_memory[device.device.index()][base];
        sum.peak_memory[d] = std::max(sum.peak_memory[d], tensors);
      }
  }

  void leave_out(ValidatedPlan& plan, const std::string& reason) {
    plan.left_out = plan.is_measured() ? fmt::format("in round {} of {}: {}", round_ + 1, job_.rounds, reason) : reason;
    progress_.clear();
    fmt::print(stderr, "gabra: {}: {}{}\n", plan.step.measured.path, plan.left_out,
               std::any_of(plans_.begin(), plans_.end(), [](const auto& one) { return one.left_out.empty(); })
                   ? "; going on with the others"
                   : "");
  }

  void go_on_without_job(const std::string& why) {
    progress_.clear();
    fmt::print(stderr, "gabra: the measurement ends here: {}\n", why);
    leave_out_rest("not measured: " + why);
    is_without_job_ = true;
  }

  void leave_out_rest(const std::string& reason) {
    for (ValidatedPlan& plan : plans_)
      if (plan.left_out.empty() && !plan.is_measured()) plan.left_out = reason;
  }

  const ValidateJob& job_;
  std::vector<ValidatedPlan>& plans_;
  Progress& progress_;
  pool::ExecJob ranks_;
  std::int64_t round_ = 0;
  std::int64_t next_id_ = 1;
  bool is_without_job_ = false;
  RoundsEnd end_;
};

}  // namespace

RoundsEnd measure_in_rounds(const ValidateJob& job, std::vector<ValidatedPlan>& plans, Progress& progress) {
  const auto is_measurable = [](const ValidatedPlan& plan) { return plan.left_out.empty(); };
  if (std::none_of(plans.begin(), plans.end(), is_measurable)) return {};
  const RoundsEnd end = Rounds(job, plans, progress).run();
  progress.clear();
  for (ValidatedPlan& plan : plans) set_timelines(plan.step.measured, plan.timelines);
  return end;
}

}  // namespace gabra::cli
