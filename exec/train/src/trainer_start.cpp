// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/prefetched_source.hpp"
#include "model_state.hpp"
#include "resume_check.hpp"
#include "trainer.hpp"
#include "work_at_root.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace gabra::exec {
namespace {

constexpr std::int64_t kTraceAfter = 3;  // steps: the ones before warm up

}  // namespace

Trainer::Trainer(const TrainJob& job, const Program& program, const MpiWorld& world, Monitor& monitor)
    : job_(job),
      program_(program),
      world_(world),
      monitor_(monitor),
      network_(*job.plan.problem.network),
      folder_(job.checkpoints.folder, job.checkpoints.kept) {
  const std::optional<Checkpoint> checkpoint = read_start();
  seed_ = checkpoint ? checkpoint->info.seed : job.seed.value_or(0);
  make_samples();
  // Only now: the scans are prepared with all cores.
  bind_to_cores(world.local_rank(), job.threads_per_rank);
  set_length();
  check_samples(checkpoint);
  make_model();
  start_from(checkpoint);
  say_what_is_not_done(checkpoint);
  if (is_root()) {
    std::string path = job.log_file;
    if (path.empty() && !job.checkpoints.folder.empty()) path = job.checkpoints.folder + "/log.jsonl";
    log_ = std::make_unique<RunLog>(path, position_.step);
    if (summary_.people && position_.step == 0) log_->write(log_line(*summary_.people));
    bar_ = std::make_unique<ProgressBar>(!job.is_quiet, job.samples_name);
  }
  if (!job.trace_file.empty()) trace_step_ = std::min(position_.step + kTraceAfter, length_.steps);
}

Trainer::~Trainer() = default;

/// At rank 0: the checkpoint to go on from, or why there is to be none.
void Trainer::find_start(std::optional<Checkpoint>& found, FaultList& faults) {
  const bool resumes = job_.checkpoints.resumes;
  try {
    folder_.lock();
    folder_.clean();
    found = folder_.read_newest(resumes ? CheckpointFolder::Damaged::SetAside : CheckpointFolder::Damaged::Stay);
    if (!found) return;
    if (!resumes)
      faults.add("--checkpoint-dir",
                 fmt::format("{}, which has a checkpoint of step {}", found->path, found->info.step),
                 "--resume to go on from it, or another folder");
    CheckpointInfo ours = checkpoint_info();
    ours.seed = job_.seed.value_or(found->info.seed);
    if (resumes) compare_settings(*found, ours, faults);
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
  }
}

std::optional<Checkpoint> Trainer::read_start() {
  if (job_.checkpoints.folder.empty()) return std::nullopt;
  FaultList faults;
  std::optional<Checkpoint> found;
  const std::string what = "the newest checkpoint in " + job_.checkpoints.folder;
  work_at_root(world_, monitor_, what, [&] { find_start(found, faults); });
  const Monitor::Waiting waiting(monitor_, what + " from rank 0");
  throw_together(world_, faults);
  const std::string text = world_.broadcast(found ? to_json_text(found->info) : "");
  if (text.empty()) return std::nullopt;
  std::vector<NamedTensor> tensors = broadcast_tensors(found ? found->tensors : std::vector<NamedTensor>{}, world_);
  const std::string path = world_.broadcast(found ? found->path : "");
  return Checkpoint{parse_checkpoint(text, path), path, std::move(tensors)};
}

void Trainer::check_samples(const std::optional<Checkpoint>& checkpoint) const {
  if (!checkpoint) return;
  FaultList faults;
  if (is_root()) compare_samples(*checkpoint, checkpoint_info(), faults);
  const Monitor::Waiting waiting(monitor_, "what rank 0 says of the checkpoint's samples");
  throw_together(world_, faults);
}

std::vector<std::int64_t> Trainer::own_loads() const {
  std::vector<std::int64_t> loads = loads_of(program_, program_.devices[static_cast<std::size_t>(world_.rank())]);
  std::sort(loads.begin(), loads.end());
  loads.erase(std::unique(loads.begin(), loads.end()), loads.end());
  return loads;
}

void Trainer::make_samples() {
  const BatchShape shape{job_.plan.problem.training.global_batch, job_.plan.plan.micro_batches};
  const Monitor::Waiting waiting(monitor_, "the data set to be prepared", Monitor::Limit::Unlimited);
  if (job_.samples.data) {
    data_ = prepare_data(*job_.samples.data, network_, seed_, world_);
    classes_ = data_->cohort.task.classes;
    data_description_ = describe_data(*data_).dump(-1, ' ', false, json::Value::error_handler_t::replace);
    summary_.left_out = data_->cohort.bad;
    summary_.people = people_of(*data_);
    samples_text_ = job_.samples.data->is_augmented ? "augmented scans" : "scans";
    samples_ = make_volume_source(*data_, shape, seed_, job_.samples.data->is_augmented, own_loads());
    return;
  }
  FaultList faults;
  try {
    samples_ = job_.samples.is_synthetic ? make_synthetic_source(network_, shape, seed_)
                                         : make_file_source(job_.samples.batch_file, network_, shape);
    samples_text_ = job_.samples.is_synthetic
                        ? "synthetic"
                        : fmt::format("batch file {:08x}", digest_of(job_.samples.batch_file).crc32);
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
  }
  throw_together(world_, faults);
}

void Trainer::set_length() {
  length_.steps_per_epoch = samples_->steps_per_epoch();
  length_.steps = job_.epochs ? *job_.epochs * length_.steps_per_epoch : *job_.steps;
  if (job_.steps) length_.steps = std::min(length_.steps, *job_.steps);
}

void Trainer::make_model() {
  rank_ = make_rank_device(job_, program_, world_);
  watching_.emplace(monitor_, rank_.device->waiting());
  {
    const Monitor::Waiting waiting(monitor_, "the communicators of all ranks");
    rank_.communicator->prepare(program_);
  }
  if (!rank_.device->torch_device().is_cpu())
    samples_ = make_prefetched_source(std::move(samples_),
                                      loads_of(program_, program_.devices[static_cast<std::size_t>(world_.rank())]));
  Interpreter::Parts parts{
      job_.plan.problem.network, job_.plan.problem.training, *rank_.device, *rank_.communicator, *samples_, {}, {}};
  parts.model.dtype = job_.plan.problem.training.precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat;
  parts.model.device = rank_.device->torch_device();
  parts.model.seed = seed_;
  if (data_) parts.class_weights = at::tensor(data_->class_weights, at::kFloat).to(parts.model.device);
  interpreter_ = std::make_unique<Interpreter>(program_, std::move(parts));
}

void Trainer::start_from(const std::optional<Checkpoint>& checkpoint) {
  if (checkpoint) {
    restore_state(*interpreter_, checkpoint->tensors, checkpoint->path);
    position_ = {checkpoint->info.step, checkpoint->info.step_of_epoch, checkpoint->info.loss_of_epoch};
    checkpoint_step_ = position_.step;
    summary_.checkpoint = (std::filesystem::path(checkpoint->path).parent_path() / checkpoint->info.file).string();
    if (const auto best = is_root() ? folder_.read_best_info() : std::nullopt) {
      best_loss_ = validation_loss(*best);
      summary_.best = job_.checkpoints.folder + "/" + best->file;
    }
  } else if (!job_.weights_file.empty()) {
    load_weights();
  }
  summary_.seed = seed_;
  summary_.first_step = position_.step + 1;
}

void Trainer::load_weights() {
  std::vector<NamedTensor> weights;
  FaultList faults;
  work_at_root(world_, monitor_, job_.weights_file, [&] {
    try {
      weights = match_weights(read_tensors(job_.weights_file), model_state(network_), job_.weights_file);
    } catch (const InputError& error) {
      for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
    }
  });
  const Monitor::Waiting waiting(monitor_, "the weights that rank 0 has read");
  throw_together(world_, faults);
  restore_state(*interpreter_, broadcast_tensors(weights, world_), job_.weights_file);
}

/// Flags that are right but come to nothing here.
void Trainer::say_what_is_not_done(const std::optional<Checkpoint>& checkpoint) const {
  if (!is_root()) return;
  if (job_.checkpoints.resumes && !checkpoint)
    fmt::print(stderr, "gabra: --resume: no checkpoint in {}: the training starts anew\n", job_.checkpoints.folder);
  if (checkpoint && !job_.weights_file.empty())
    fmt::print(stderr, "gabra: --weights {} is not read: the training goes on from {}\n", job_.weights_file,
               checkpoint->path);
  if (!job_.trace_file.empty() && position_.step >= length_.steps)
    fmt::print(stderr, "gabra: --trace {} is not written: step {} was done already and none is left\n", job_.trace_file,
               position_.step);
}

}  // namespace gabra::exec
