// SPDX-License-Identifier: MIT
#include "gabra/exec/calibrate.hpp"

#include "calibration_plans.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/device_names.hpp"
#include "gabra/exec/measure.hpp"
#include "gabra/exec/rank_device.hpp"
#include "kept_bytes.hpp"
#include "machine_facts.hpp"
#include "message_bench.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace gabra::exec {
namespace {

constexpr std::int64_t kFirstSteps = 3;  // of a plan in the first round
constexpr std::int64_t kMostSteps = 20;
constexpr std::int64_t kMostOfSteps = 3;       // as many steps are taken at most while others disturb the machine
constexpr std::size_t kFewestUndisturbed = 4;  // of a plan; with fewer, the least disturbed steps count too
constexpr double kShareOfMessages = 0.15;      // of the time limit

class Calibration {
 public:
  Calibration(const CalibrateJob& job, const MpiWorld& world, Monitor& monitor)
      : job_(job),
        world_(world),
        monitor_(monitor),
        begin_(monotonic_seconds()),
        base_memory_(base_memory(job.hardware, world)),
        measurer_(world, {.hardware = job.hardware, .threads_per_rank = job.threads_per_rank}, &monitor) {
    const std::vector<std::string> models = device_models(job.hardware, world);
    samples_.device_kind = fmt::format("{}", fmt::join(models, " or "));
    samples_.name = fmt::format("{} x {}", world.size(), samples_.device_kind);
    samples_.nodes = machines_of(world);
    samples_.measured_on = {
        .hardware = job.hardware == Hardware::Cuda ? MeasuredOn::Hardware::Cuda : MeasuredOn::Hardware::Cpu,
        .threads_per_rank = job.threads_per_rank};
    for (std::size_t d = 0; d < samples_.nodes.size(); ++d) samples_.devices.push_back(device_name(job.hardware, d));
    samples_.memory = device_memory(job.hardware, world);
    samples_.base_memory = std::min(base_memory_, samples_.memory / 2);
    samples_.training = job.training;
    samples_.network = job.network;
    samples_.by_layer = by_layer(*job.network);
    machine_ = unknown_machine(job, samples_.nodes);
  }

  std::string run() {
    say("messages");
    time_all_messages();
    const std::vector<CalibrationPlan> plans = repeated_plans(job_, machine_);
    say("layers");
    const std::vector<CalibrationPlan> layers = layers_plans(job_, machine_);
    runs_.resize(plans.size() + layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) measure(layers[i], kFirstSteps, runs_[plans.size() + i]);
    measure_kept();  // not before: what cannot run has been refused on all ranks
    do {
      ++rounds_;
      say(fmt::format("round {}", rounds_));
      const std::int64_t steps = steps_per_visit(plans.size());
      for (std::size_t i = 0; i < plans.size() && !is_time_up(); ++i) measure(plans[i], steps, runs_[i]);
    } while (!is_done());
    if (world_.rank() != 0) return "";
    return finish();
  }

 private:
  [[nodiscard]] double elapsed() const { return monotonic_seconds() - begin_; }

  void say(const std::string& what) const {
    if (world_.rank() == 0 && !job_.is_quiet) fmt::print(stderr, "gabra: calibrating: {}, {:.0f} s\n", what, elapsed());
  }

  void time_all_messages() {
    if (world_.size() < 2) return;
    const Monitor::Waiting waiting(monitor_, "test messages between all ranks");
    const std::int64_t gradients = job_.network->parameters() * parameter_bytes(job_.training).gradient;
    constexpr std::int64_t kMost = std::int64_t{256} << 20;
    const MessageBenchOptions options{.largest_all_reduce = Bytes(std::min(gradients, kMost)),
                                      .time_limit = job_.time_limit * kShareOfMessages};
    const std::unique_ptr<Communicator> communicator = make_communicator(job_.hardware, world_);
    MessageTimes times = time_messages(world_, *communicator, torch_device(job_.hardware, world_), options);
    samples_.transfers = std::move(times.transfers);
    samples_.all_reduces = std::move(times.all_reduces);
  }

  void measure_kept() {
    if (world_.rank() == 0)
      for (const std::int64_t size : job_.micro_batches)
        samples_.kept[size] =
            measure_kept_bytes(job_.network, job_.training, size, torch_device(job_.hardware, world_));
    world_.barrier();
  }

  void measure(const CalibrationPlan& plan, std::int64_t steps, CalibrationRun& run) {
    const MeasureOptions options{.warm_up = 1,
                                 .steps = steps,
                                 .most_steps = kMostOfSteps * steps,
                                 .step_limit = job_.timeout,
                                 .seed = job_.seed,
                                 .keeps_timelines = true};
    auto result = measurer_.measure(plan.problem, plan.plan, options);
    if (const auto* reason = std::get_if<Infeasible>(&result))
      throw_input_error("--network", "a calibration plan that cannot run: " + reason->message,
                        "a network and --micro-batches that a device can train");
    auto& measured = std::get<std::optional<Measurement>>(result);
    if (!measured) return;
    run.role = plan.role;
    run.micro_batch = plan.micro_batch;
    run.program = std::move(measured->program);
    for (std::size_t i = 0; i < measured->timelines.size(); ++i) {
      run.outside.push_back(measured->steps[i] - measured->timelines[i].end);
      run.timelines.push_back(std::move(measured->timelines[i]));
      run.slowness.push_back(i < measured->slowness.size() ? measured->slowness[i] : 1.0);
      step_seconds_ = std::max(step_seconds_, measured->steps[i].value());
    }
  }

  /// As many as fill the time that is left in two more rounds, decided by rank 0 for all.
  std::int64_t steps_per_visit(std::size_t plans) {
    double steps = kFirstSteps;
    if (rounds_ > 1) {
      const double left = std::max(0.0, job_.time_limit.value() - elapsed());
      steps = left / 2.0 / static_cast<double>(plans) / std::max(1e-6, step_seconds_);
    }
    steps = std::clamp(std::floor(steps), static_cast<double>(kFirstSteps), static_cast<double>(kMostSteps));
    return static_cast<std::int64_t>(world_.max(world_.rank() == 0 ? steps : 0.0));
  }

  /// The widest 95 % interval of a median of whole passes.
  [[nodiscard]] double uncertainty() const {
    double widest = 0.0;
    for (const CalibrationRun& run : runs_) {
      if (run.role != CalibrationRole::WholeTogether && run.role != CalibrationRole::WholeAlone) continue;
      std::vector<double> steps;
      for (const std::size_t i : undisturbed_steps(run.slowness, kFewestUndisturbed))
        steps.push_back(run.timelines[i].end.value());
      widest = std::max(widest, median_uncertainty(std::move(steps)));
    }
    return widest;
  }

  /// The first round is always whole.
  bool is_time_up() {
    const bool is_late = world_.rank() == 0 && elapsed() > job_.time_limit.value();
    return rounds_ > 1 && world_.max(is_late ? 1.0 : 0.0) > 0.0;
  }

  bool is_done() {
    double done = 0.0;
    if (world_.rank() == 0) {
      const double per_round = elapsed() / static_cast<double>(rounds_);
      done = (rounds_ > 1 && uncertainty() <= job_.confidence) || elapsed() + per_round > job_.time_limit.value() ? 1.0
                                                                                                                  : 0.0;
    }
    return world_.max(done) > 0.0;
  }

  /// Leaves out the steps beside which somebody else used the machine.
  static void leave_out_disturbed(CalibrationRun& run) {
    std::vector<Timeline> timelines;
    std::vector<Seconds> outside;
    for (const std::size_t i : undisturbed_steps(run.slowness, kFewestUndisturbed)) {
      timelines.push_back(std::move(run.timelines[i]));
      outside.push_back(run.outside[i]);
    }
    run.timelines = std::move(timelines);
    run.outside = std::move(outside);
    run.slowness.assign(run.timelines.size(), 1.0);
  }

  std::string finish() {
    std::size_t all_steps = 0, steps = 0;
    for (CalibrationRun& run : runs_) {
      all_steps += run.timelines.size();
      leave_out_disturbed(run);
      steps += run.timelines.size();
    }
    const double reached = uncertainty();
    samples_.runs = std::move(runs_);
    samples_.source =
        fmt::format("gabra calibrate with {} on {} rank{}, {} thread{} each", job_.network->name(), world_.size(),
                    world_.size() == 1 ? "" : "s", job_.threads_per_rank, job_.threads_per_rank == 1 ? "" : "s");
    MachineFit fit = fit_machine(samples_);
    fit.notes.insert(fit.notes.begin(),
                     steps == all_steps
                         ? fmt::format("all {} steps count: nobody else used the machine", steps)
                         : fmt::format("{} of {} steps count: the others ran while somebody else used the machine",
                                       steps, all_steps));
    if (reached > job_.confidence)
      fit.warnings.push_back(
          fmt::format("time was up before the medians of whole steps were known to {:.1f} %: they are to {:.1f} %",
                      100.0 * job_.confidence, 100.0 * reached));
    write_file_atomically(job_.machine_file, to_json_text(fit.cluster));
    if (!job_.profile_file.empty()) write_file_atomically(job_.profile_file, to_json_text(fit.profile));
    if (job_.is_json)
      return to_json_text(fit, CalibrationEffort{.elapsed_s = elapsed(),
                                                 .steps = static_cast<std::int64_t>(steps),
                                                 .rounds = rounds_,
                                                 .uncertainty = reached});
    std::string text = fmt::format("calibrated {} in {:.1f} s: {} steps in {} rounds, whole steps known to {:.1f} %\n",
                                   fit.cluster.name(), elapsed(), steps, rounds_, 100.0 * reached);
    text += to_text(fit);
    text += "machine written to " + job_.machine_file + "\n";
    if (!job_.profile_file.empty()) text += "profile written to " + job_.profile_file + "\n";
    return text;
  }

  const CalibrateJob& job_;
  const MpiWorld& world_;
  Monitor& monitor_;
  const double begin_;
  const Bytes base_memory_;
  PlanMeasurer measurer_;
  MachineSamples samples_;
  std::shared_ptr<const Cluster> machine_;
  std::vector<CalibrationRun> runs_;
  std::int64_t rounds_ = 0;
  double step_seconds_ = 0.0;
};

}  // namespace

std::string calibrate(const CalibrateJob& job, const MpiWorld& world, Monitor& monitor) {
  if (world.size() != job.devices)
    throw_input_error("--devices", fmt::format("{} devices in a job of {} ranks", job.devices, world.size()),
                      "one rank for each device");
  return Calibration(job, world, monitor).run();
}

}  // namespace gabra::exec
