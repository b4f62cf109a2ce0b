// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "model_state.hpp"
#include "trainer.hpp"

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
  std::optional<Checkpoint> checkpoint;
  {
    const Monitor::Waiting waiting(monitor_, "the checkpoint that rank 0 reads");
    checkpoint = read_start();
  }
  seed_ = checkpoint ? checkpoint->info.seed : job.seed.value_or(0);
  make_samples();
  // Only now: the scans are prepared with all cores.
  bind_to_cores(world.local_rank(), job.threads_per_rank);
  set_length();
  make_model();
  start_from(checkpoint);
  if (is_root()) {
    std::string path = job.log_file;
    if (path.empty() && !job.checkpoints.folder.empty()) path = job.checkpoints.folder + "/log.jsonl";
    log_ = std::make_unique<RunLog>(path, position_.step);
    bar_ = std::make_unique<ProgressBar>(!job.is_quiet, job.samples_name);
  }
  if (!job.trace_file.empty()) trace_step_ = std::min(position_.step + kTraceAfter, length_.steps);
}

Trainer::~Trainer() { monitor_.watch(nullptr); }

std::optional<Checkpoint> Trainer::read_start() {
  FaultList faults;
  std::optional<Checkpoint> found;
  if (is_root() && !job_.checkpoints.folder.empty()) {
    try {
      folder_.clean();
      found = folder_.read_newest();
      if (found && !job_.checkpoints.resumes)
        faults.add(
            "--checkpoint-dir",
            fmt::format("{}, with a checkpoint of step {}", in_quotes(job_.checkpoints.folder), found->info.step),
            "--resume to go on from it, or another folder");
      else if (found)
        check_start(found->info);
    } catch (const InputError& error) {
      for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
    }
  }
  throw_together(world_, faults);
  const std::string text = world_.broadcast(found ? to_json_text(found->info) : "");
  if (text.empty()) return std::nullopt;
  std::vector<NamedTensor> tensors = broadcast_tensors(found ? found->tensors : std::vector<NamedTensor>{}, world_);
  const std::string path = world_.broadcast(found ? found->path : "");
  return Checkpoint{parse_checkpoint(text, path), path, std::move(tensors)};
}

void Trainer::check_start(const CheckpointInfo& info) const {
  FaultList faults;
  const std::string& place = "--resume";
  const TrainingSettings& ours = job_.plan.problem.training;
  if (info.network->fingerprint() != network_.fingerprint())
    faults.add(place, fmt::format("a checkpoint of another network, {}", info.network->name()),
               fmt::format("one of the plan's network, {}", network_.name()));
  if (info.training.global_batch != ours.global_batch)
    faults.add(place, fmt::format("a checkpoint of a training with the global batch {}", info.training.global_batch),
               fmt::format("the plan's, {}", ours.global_batch));
  if (info.training.optimizer != ours.optimizer || info.training.precision != ours.precision)
    faults.add(place, "a checkpoint of another optimizer or precision",
               fmt::format("the plan's, {} in {}", gabra::to_text(ours.optimizer), gabra::to_text(ours.precision)));
  if (job_.seed && *job_.seed != info.seed)
    faults.add("--seed", std::to_string(*job_.seed), fmt::format("the checkpoint's, {}, or none", info.seed));
  faults.throw_if_any();
}

std::vector<std::int64_t> Trainer::own_loads() const {
  std::vector<std::int64_t> loads;
  const DeviceId own = program_.devices[static_cast<std::size_t>(world_.rank())];
  for (const Instruction& one : program_.instructions)
    if (one.opcode == Opcode::Load && one.device == own) loads.push_back(one.micro_batch);
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
    samples_ = make_volume_source(*data_, shape, seed_, job_.samples.data->is_augmented, own_loads());
    return;
  }
  FaultList faults;
  try {
    samples_ = job_.samples.is_synthetic ? make_synthetic_source(network_, shape, seed_)
                                         : make_file_source(job_.samples.batch_file, network_, shape);
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
  monitor_.watch(&rank_.device->waiting());
  {
    const Monitor::Waiting waiting(monitor_, "the communicators of all ranks");
    rank_.communicator->prepare(program_);
  }
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
  } else if (!job_.weights_file.empty()) {
    const Monitor::Waiting waiting(monitor_, "the weights that rank 0 reads");
    std::vector<NamedTensor> weights;
    FaultList faults;
    if (is_root()) try {
        weights = match_weights(read_tensors(job_.weights_file), model_state(network_), job_.weights_file);
      } catch (const InputError& error) {
        for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
      }
    throw_together(world_, faults);
    restore_state(*interpreter_, broadcast_tensors(weights, world_), job_.weights_file);
  }
  summary_.seed = seed_;
  summary_.first_step = position_.step + 1;
}

}  // namespace gabra::exec
