// SPDX-License-Identifier: MIT
#include "trainer.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/plan/compiler.hpp"
#include "gabra/plan/render.hpp"
#include "model_state.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

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
  if (evaluated_step_ != position_.step) evaluate_parts();
  collect_memory();
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
  const Monitor::Waiting waiting(monitor_, fmt::format("the loss of step {} from all ranks", step));
  const double loss = world_.sum(result.loss);
  const double seconds = world_.max(own_seconds);
  check_loss(loss);
  if (step == trace_step_) write_trace(result.spans);
  ++position_.step;
  ++position_.step_of_epoch;
  position_.loss_of_epoch += loss;
  summary_.losses.push_back(loss);
  summary_.step_seconds.push_back(seconds);
  if (is_root()) log_step(result, loss, seconds);
}

void Trainer::check_loss(double loss) const {
  if (std::isfinite(loss)) return;
  if (bar_) bar_->clear();
  throw TrainingError(
      fmt::format("the loss is {} in step {}: the training stops. A lower --learning-rate, --warmup-steps "
                  "or gradient clipping (gabra optimize --clip-norm) may help",
                  std::isnan(loss) ? "not a number" : "infinite", position_.step + 1));
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
  const Monitor::Waiting waiting(monitor_, fmt::format("the evaluation after step {} on all ranks", position_.step));
  const std::vector<NamedTensor> state =
      broadcast_tensors(gather_state(*interpreter_, network_, world_, false), world_);
  ModelOptions options;
  options.dtype = job_.plan.problem.training.precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat;
  options.device = rank_.device->torch_device();
  WholeNetwork whole(job_.plan.problem.network, options);
  whole.load(state, "the model");
  summary_.validation = evaluate(data_->validation, classes_.size(), whole, *data_->cache, world_);
  summary_.test = evaluate(data_->test, classes_.size(), whole, *data_->cache, world_);
  if (is_root()) keep_best(state);
}

void Trainer::keep_best(const std::vector<NamedTensor>& state) {
  if (job_.checkpoints.folder.empty() || !summary_.validation) return;
  const std::string best = job_.checkpoints.folder + "/best.json";
  if (!best_score_ && summary_.first_step > 1 && std::filesystem::exists(best)) {
    const auto measures = json::Value::parse(parse_checkpoint(read_file(best), best).measures);
    if (measures.contains("loss")) best_score_ = measures["loss"].get<double>();
  }
  // The loss tells networks apart that accuracy, a count of few scans, does not.
  if (best_score_ && summary_.validation->loss >= *best_score_) return;
  best_score_ = summary_.validation->loss;
  folder_.write_best(checkpoint_info(), state);
}

void Trainer::write_trace(const std::vector<Timeline::Span>& spans) {
  const Timeline timeline = gather_timeline(program_, spans, world_);
  if (is_root()) write_file_atomically(job_.trace_file, to_perfetto_trace({job_.plan.problem, program_, timeline}));
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
  info.data = data_description_;
  info.measures = evaluated_step_ == position_.step ? to_value(summary_.validation, classes_).dump() : "null";
  return info;
}

void Trainer::write_checkpoint() {
  if (job_.checkpoints.folder.empty() || checkpoint_step_ == position_.step) return;
  checkpoint_step_ = position_.step;
  const Monitor::Waiting waiting(monitor_, fmt::format("the checkpoint of step {} from all ranks", position_.step));
  const std::vector<NamedTensor> state = gather_state(*interpreter_, network_, world_, true);
  if (!is_root()) return;
  folder_.write(checkpoint_info(), state);
  summary_.checkpoint = fmt::format("{}/step-{:06}.pt", job_.checkpoints.folder, position_.step);
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
  const std::string best = job_.checkpoints.folder + "/best.pt";
  if (!job_.checkpoints.folder.empty() && std::filesystem::exists(best)) summary_.best = best;
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
