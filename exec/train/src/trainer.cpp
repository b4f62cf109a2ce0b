// SPDX-License-Identifier: MIT
#include "trainer.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/plan/compiler.hpp"
#include "gabra/plan/render.hpp"
#include "model_state.hpp"
#include "work_at_root.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>

namespace gabra::exec {
namespace {

std::int64_t own_peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace

std::string Trainer::run() {
  const double begin = monotonic_seconds();
  rank_.device->reset_peak();
  while (position_.step < length_.steps) {
    run_one_step();
    const bool ends_epoch = position_.step_of_epoch == length_.steps_per_epoch;
    if (ends_epoch) end_epoch();
    const bool is_due = job_.checkpoints.every ? position_.step % *job_.checkpoints.every == 0 : ends_epoch;
    if (is_due || position_.step == length_.steps) write_checkpoint();
  }
  collect_memory();
  if (evaluated_step_ != position_.step) evaluate_parts();
  return finish(monotonic_seconds() - begin);
}

void Trainer::run_one_step() {
  const std::int64_t step = position_.step + 1;
  monitor_.set_step(step);
  UpdateOptions options;
  options.learning_rate = learning_rate_at(job_.update.learning_rate, length_, step);
  options.momentum = job_.update.momentum;
  options.weight_decay = job_.update.weight_decay;
  options.step = step;
  rank_.device->set_recording(step == trace_step_);
  const double begin = monotonic_seconds();
  const StepResult result = interpreter_->run_step(options);
  const double own_seconds = monotonic_seconds() - begin;
  double loss = 0.0;
  double seconds = 0.0;
  {
    const Monitor::Waiting waiting(monitor_, fmt::format("the loss of step {} from all ranks", step));
    loss = world_.sum(result.loss);
    seconds = world_.max(own_seconds);
  }
  check_loss(loss, result.gradient_norm);
  if (step == trace_step_) write_trace(result.spans);
  ++position_.step;
  ++position_.step_of_epoch;
  position_.loss_of_epoch += loss;
  summary_.losses.push_back(loss);
  summary_.step_seconds.push_back(seconds);
  if (is_root()) log_step(result, loss, seconds);
}

void Trainer::check_loss(double loss, const std::optional<double>& gradient_norm) const {
  const auto kind = [](double value) { return std::isnan(value) ? "not a number" : "infinite"; };
  if (!std::isfinite(loss)) stop(fmt::format("the loss is {} in step {}", kind(loss), position_.step + 1));
  // Every rank takes part in clipping, so all know the norm and stop alike.
  if (gradient_norm && !std::isfinite(*gradient_norm))
    stop(fmt::format("the norm of the gradient is {} in step {}", kind(*gradient_norm), position_.step + 1));
}

/// After the update: a loss that is a number may have gradients that are not.
void Trainer::check_state(const std::string& not_finite) const {
  if (!not_finite.empty())
    stop(fmt::format("{} has values that are no finite numbers after step {}, whose loss was {}", in_quotes(not_finite),
                     position_.step, summary_.losses.empty() ? 0.0 : summary_.losses.back()));
}

void Trainer::stop(const std::string& reason) const {
  if (bar_) bar_->clear();
  const std::string& last = summary_.checkpoint;
  throw TrainingError(
      fmt::format("{}: the training stops{}. A lower --learning-rate, --warmup-steps or gradient clipping (gabra "
                  "optimize --clip-norm) may help",
                  reason, last.empty() ? "" : "; the last checkpoint is " + last));
}

void Trainer::log_step(const StepResult& result, double loss, double seconds) {
  const double rate = static_cast<double>(program_.samples) / seconds;
  const std::int64_t epoch = (position_.step - 1) / length_.steps_per_epoch + 1;
  json::Value line{{"schema", "gabra/log/1"},
                   {"kind", "step"},
                   {"step", position_.step},
                   {"epoch", epoch},
                   {"loss", loss},
                   {"learning_rate", learning_rate_at(job_.update.learning_rate, length_, position_.step)},
                   {"step_s", seconds},
                   {"samples_per_s", rate}};
  if (result.gradient_norm) line["gradient_norm"] = *result.gradient_norm;
  log_->write(line);
  ProgressBar::State state;
  state.step = position_.step;
  state.steps = length_.steps;
  state.epoch = epoch;
  state.epochs = (length_.steps + length_.steps_per_epoch - 1) / length_.steps_per_epoch;
  state.loss = loss;
  const double median = median_step(summary_.step_seconds);
  state.samples_per_s = static_cast<double>(program_.samples) / median;
  state.seconds_left = median * static_cast<double>(length_.steps - position_.step);
  bar_->show(state);
}

void Trainer::end_epoch() {
  collect_memory();
  evaluate_parts();
  rank_.device->reset_peak();
  if (is_root()) {
    json::Value line{{"schema", "gabra/log/1"},
                     {"kind", "epoch"},
                     {"step", position_.step},
                     {"epoch", position_.epochs(length_.steps_per_epoch)},
                     {"train_loss", position_.loss_of_epoch / static_cast<double>(position_.step_of_epoch)},
                     {"validation", to_value(summary_.validation, classes_)},
                     {"test", to_value(summary_.test, classes_)},
                     {"peak_memory_bytes", summary_.peak_memory_bytes}};
    log_->write(line);
  }
  position_.step_of_epoch = 0;
  position_.loss_of_epoch = 0.0;
}

void Trainer::evaluate_parts() {
  evaluated_step_ = position_.step;
  if (!data_) return;
  ModelOptions options;
  options.dtype = job_.plan.problem.training.precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat;
  options.device = rank_.device->torch_device();
  WholeNetwork whole(job_.plan.problem.network, options);
  {
    const Monitor::Waiting waiting(monitor_, fmt::format("the weights of step {} from all ranks", position_.step));
    copy_to_all(*interpreter_, world_, whole.state());
  }
  check_state(first_not_finite(whole.state()));  // the same on all ranks
  EvaluationTask task;
  task.classes = classes_.size();
  task.predict = [&](const std::string& path) { return predict_scan(whole, *data_->cache, path); };
  task.name = fmt::format("the validation after step {}", position_.step);
  summary_.validation = evaluate(data_->validation, task, world_, monitor_);
  task.name = fmt::format("the test after step {}", position_.step);
  summary_.test = evaluate(data_->test, task, world_, monitor_);
  keep_best(whole);
}

void Trainer::keep_best(WholeNetwork& whole) {
  if (job_.checkpoints.folder.empty() || data_->validation.empty()) return;
  // The loss tells networks apart that accuracy, a count of few scans, does not.
  const bool is_new_best = is_root() && is_better(*summary_.validation, best_loss_);
  {
    const Monitor::Waiting waiting(monitor_, fmt::format("the measures after step {}", position_.step));
    if (world_.max(is_new_best ? 1.0 : 0.0) == 0.0) return;
  }
  work_at_root(world_, monitor_, fmt::format("the best checkpoint, of step {}", position_.step), [&] {
    summary_.best = folder_.write_best(checkpoint_info(), whole.state());
    best_loss_ = summary_.validation->loss;
  });
}

void Trainer::write_trace(const std::vector<Timeline::Span>& spans) {
  Timeline timeline;
  {
    const Monitor::Waiting waiting(monitor_, "the timeline of all ranks");
    timeline = gather_timeline(program_, spans, world_);
  }
  work_at_root(world_, monitor_, job_.trace_file, [&] {
    write_file_atomically(job_.trace_file, to_perfetto_trace({job_.plan.problem, program_, timeline}));
  });
}

CheckpointInfo Trainer::checkpoint_info() const {
  CheckpointInfo info;
  info.step = position_.step;
  info.epoch = position_.epochs(length_.steps_per_epoch);
  info.step_of_epoch = position_.step_of_epoch % length_.steps_per_epoch;
  info.loss_of_epoch = info.step_of_epoch == 0 ? 0.0 : position_.loss_of_epoch;
  info.seed = seed_;
  info.network = job_.plan.problem.network;
  info.training = job_.plan.problem.training;
  info.run = RunSettings{job_.plan.plan.micro_batches, job_.update, length_.steps, samples_text_};
  info.data = data_description_;
  info.measures = evaluated_step_ == position_.step ? to_value(summary_.validation, classes_).dump() : "null";
  return info;
}

void Trainer::write_checkpoint() {
  if (job_.checkpoints.folder.empty() || checkpoint_step_ == position_.step) return;
  collect_memory();  // the training's, without what follows
  const std::string what = fmt::format("the checkpoint of step {}", position_.step);
  std::vector<NamedTensor> state;
  std::string not_finite;
  {
    const Monitor::Waiting waiting(monitor_, what + " from all ranks");
    state = gather_state(*interpreter_, network_, world_, true);
    not_finite = world_.broadcast(first_not_finite(state));
  }
  check_state(not_finite);
  work_at_root(world_, monitor_, what, [&] { summary_.checkpoint = folder_.write(checkpoint_info(), state); });
  checkpoint_step_ = position_.step;
  state.clear();
  rank_.device->reset_peak();
}

std::vector<std::int64_t> Trainer::gather_numbers(std::int64_t own) const {
  std::vector<std::int64_t> numbers;
  for (const std::string& text : world_.gather(std::to_string(own))) numbers.push_back(std::stoll(text));
  return numbers;
}

void Trainer::collect_memory() {
  const Monitor::Waiting waiting(monitor_, "the memory of all ranks");
  const std::vector<std::int64_t> peaks = gather_numbers(rank_.device->peak_memory().value());
  summary_.peak_memory_bytes.resize(peaks.size());
  for (std::size_t r = 0; r < peaks.size(); ++r)
    summary_.peak_memory_bytes[r] = std::max(summary_.peak_memory_bytes[r], peaks[r]);
  summary_.peak_rss_bytes = gather_numbers(own_peak_rss());
}

std::string Trainer::finish(double elapsed_s) {
  if (!is_root()) return "";
  bar_->clear();
  summary_.elapsed_s = elapsed_s;
  summary_.steps = position_.step;
  summary_.epochs = position_.epochs(length_.steps_per_epoch);
  return job_.is_json ? to_json_text(summary_, job_, program_, classes_) : to_text(summary_, job_, program_);
}

std::string train(const TrainJob& job, const MpiWorld& world, Monitor& monitor) {
  TensorMemory::install();
  at::set_num_threads(static_cast<int>(job.threads_per_rank));
  const auto compiled = Compiler(job.plan.problem).compile(job.plan.plan);
  if (const auto* reason = std::get_if<Infeasible>(&compiled))
    throw_input_error("--plan", "a plan that does not fit its devices: " + reason->message, "a feasible plan");
  const auto& program = std::get<gabra::Program>(compiled);
  if (static_cast<std::size_t>(world.size()) != program.devices.size())
    throw_input_error("--plan",
                      fmt::format("a plan for {} devices in a job of {} ranks", program.devices.size(), world.size()),
                      "one rank for each device of the plan");
  return Trainer(job, program, world, monitor).run();
}

}  // namespace gabra::exec
