// SPDX-License-Identifier: MIT
#include "train_job.hpp"

#include "device_request.hpp"
#include "gabra/plan/compiler.hpp"
#include "inputs.hpp"
#include "output_file.hpp"
#include "ranks.hpp"
#include "text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostThreads = 1024;
constexpr std::int64_t kMostFolds = 1000;

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> items;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

/// A path that exists, as a file or a folder.
std::optional<std::string> existing_path(FlagReader& flags, const std::string& name, bool is_folder) {
  auto path = flags.text(name);
  if (!path) return std::nullopt;
  std::error_code error;
  const bool is_right =
      is_folder ? std::filesystem::is_directory(*path, error) : std::filesystem::is_regular_file(*path, error);
  if (is_right) return path;
  const bool exists = std::filesystem::exists(*path, error);
  flags.faults().add(
      name, in_quotes(*path) + (exists ? (is_folder ? ", not a folder" : ", not a file") : ", which is not there"),
      is_folder ? "an existing folder" : "an existing file");
  return std::nullopt;
}

/// --data and what belongs to it. Classes may come from a checkpoint, then `needs_task` is false.
std::optional<exec::DataSelection> read_data(FlagReader& flags, bool needs_task) {
  if (!flags.is_given("--data")) {
    flags.refuse({"--task", "--classes", "--sessions", "--cache", "--skip-bad"}, "without --data");
    return std::nullopt;
  }
  exec::DataSelection data;
  data.folder = existing_path(flags, "--data", true).value_or("");
  if (flags.is_given("--task")) flags.refuse({"--classes"}, "together with --task");
  data.task = flags.text("--task").value_or("");
  if (const auto classes = flags.text("--classes")) data.classes = split_at_commas(*classes);
  if (needs_task && !flags.is_given("--task") && !flags.is_given("--classes"))
    flags.faults().add("--task", "nothing", "ad-nc or smci-pmci, or --classes A,B (one is required)");
  data.sessions = flags.text("--sessions").value_or("first");
  data.cache_folder = flags.text("--cache").value_or("");
  data.skips_bad = flags.is_on("--skip-bad");
  return data;
}

void read_folds(FlagReader& flags, exec::DataSelection& data) {
  data.is_augmented = flags.is_on("--augment");
  data.folds = flags.integer("--folds", {3, kMostFolds}).value_or(0);
  const auto fold = flags.integer("--fold", {0, kMostFolds - 1});
  if (fold && !flags.is_given("--folds"))
    flags.faults().add("--fold", "this flag without --folds", "both, or neither");
  else if (fold && data.folds > 0 && *fold >= data.folds)
    flags.faults().add("--fold", std::to_string(*fold), fmt::format("a number from 0 to {}", data.folds - 1));
  else
    data.fold = fold.value_or(0);
  data.trains_all_folds = flags.is_given("--folds") && !flags.is_given("--fold");
  if (data.trains_all_folds)
    for (const char* name : {"--log", "--trace"})
      if (flags.is_given(name))
        flags.faults().add(name, "this flag with --folds and without --fold, which trains once for every fold",
                           "--fold too; each fold has a log of its own in --checkpoint-dir");
}

exec::SampleSource read_samples(FlagReader& flags) {
  exec::SampleSource samples;
  samples.data = read_data(flags, true);
  samples.is_synthetic = flags.is_on("--synthetic");
  samples.batch_file = existing_path(flags, "--batch-file", false).value_or("");
  const int given = static_cast<int>(flags.is_given("--data")) + static_cast<int>(samples.is_synthetic) +
                    static_cast<int>(flags.is_given("--batch-file"));
  if (given != 1)
    flags.faults().add("--data, --synthetic, --batch-file", given == 0 ? "none of them" : "several of them",
                       "exactly one: where samples come from");
  if (samples.data) {
    read_folds(flags, *samples.data);
  } else {
    flags.refuse({"--folds", "--fold", "--augment"}, "without --data");
  }
  return samples;
}

exec::UpdateSettings read_update(FlagReader& flags) {
  exec::UpdateSettings update;
  auto& rate = update.learning_rate;
  rate.base = flags.positive_number("--learning-rate").value_or(rate.base);
  rate.rule =
      static_cast<exec::LearningRateRule>(flags.choice("--schedule", {"constant", "cosine", "step"}).value_or(0));
  rate.warmup_steps = flags.integer("--warmup-steps", {0}).value_or(0);
  if (rate.rule != exec::LearningRateRule::Step)
    flags.refuse({"--step-epochs", "--step-factor"}, "without --schedule step");
  rate.epochs_per_step = flags.integer("--step-epochs", {1}).value_or(rate.epochs_per_step);
  rate.factor = flags.positive_number("--step-factor").value_or(rate.factor);
  update.momentum = flags.number("--momentum", {0.0, 1.0}).value_or(update.momentum);
  update.weight_decay = flags.number("--weight-decay", {0.0, 1e6}).value_or(update.weight_decay);
  return update;
}

/// Makes the folder if need be, so that a path that cannot be written is found before the training.
void check_folder_is_writable(FlagReader& flags, const std::string& name, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && std::filesystem::is_directory(folder, error) && ::access(folder.c_str(), W_OK | X_OK) == 0) return;
  flags.faults().add(name, in_quotes(folder) + ", which cannot be made or written", "a folder that can be written");
}

exec::CheckpointSettings read_checkpoints(FlagReader& flags) {
  exec::CheckpointSettings checkpoints;
  checkpoints.folder = flags.text("--checkpoint-dir").value_or("");
  if (!checkpoints.folder.empty()) check_folder_is_writable(flags, "--checkpoint-dir", checkpoints.folder);
  checkpoints.resumes = flags.is_on("--resume");
  checkpoints.every = flags.integer("--checkpoint-every", {1});
  checkpoints.kept = flags.integer("--keep", {1}).value_or(checkpoints.kept);
  if (!flags.is_given("--checkpoint-dir")) {
    flags.refuse({"--checkpoint-every", "--keep", "--max-restarts", "--resume"}, "without --checkpoint-dir");
  }
  return checkpoints;
}

void check_plan_can_be_trained(FlagReader& flags, const PlanFile& file) {
  if (file.problem.network == nullptr || !file.problem.network->has_opaque_layers()) return;
  for (const Layer& layer : file.problem.network->layers())
    if (std::holds_alternative<Opaque>(layer.attributes)) {
      flags.faults().add("--plan",
                         fmt::format("the network {} with the opaque layer {}: it has costs but no arithmetic",
                                     file.problem.network->name(), in_quotes(layer.name)),
                         "a network without opaque layers; it can be simulated, not trained");
      return;
    }
}

exec::Hardware read_hardware(FlagReader& flags) {
  return static_cast<exec::Hardware>(flags.choice("--device", {"cpu", "cuda"}).value_or(0));
}

/// The plan may have been faulty, then it has no cluster.
RankDevices rank_devices(FlagReader& flags, const PlanFile& plan) {
  const PlanFile* const plans[] = {&plan};
  return read_rank_devices(flags, read_hardware_flag(flags),
                           plan.problem.cluster == nullptr ? std::vector<MeasuredOn>{} : calibrated_with(plans),
                           OtherHardware::Noted);
}

}  // namespace

std::vector<std::string> device_notes(const FlagSet& flag_set, const exec::TrainJob& job) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  const RankDevices devices = rank_devices(flags, job.plan);
  std::vector<std::string> notes = devices.notes;
  // Kinds whose library copies operands are CPUs; others are GPUs of a preset or of somebody's file.
  if (devices.hardware == exec::Hardware::Cpu)
    for (const DeviceKind& kind : job.plan.problem.cluster->description().kinds)
      if (!kind.copies_layout && !kind.measured_on)
        notes.push_back(
            fmt::format("the plan is for {}, and CPU ranks train: predictions are not of these ranks", kind.name));
  return notes;
}

exec::TrainJob read_train_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  exec::TrainJob job;
  job.plan_path = flags.required("--plan", "a plan file, as gabra optimize -o writes it").value_or("");
  if (auto plan = InputLoader(flags, nullptr).plan("--plan", nullptr, nullptr)) job.plan = std::move(*plan);
  check_plan_can_be_trained(flags, job.plan);
  if (job.plan.problem.network != nullptr) job.samples_name = samples_name(*job.plan.problem.network);
  if (job.plan.problem.network != nullptr && job.plan.problem.training.optimizer == Optimizer::AdamW &&
      flags.is_given("--momentum"))
    faults.add("--momentum", "this flag with a plan for adamw, which has none",
               "the flag with a plan for sgd_momentum");
  job.samples = read_samples(flags);
  job.epochs = flags.integer("--epochs", {1});
  job.steps = flags.integer("--steps", {1});
  if (!flags.is_given("--epochs") && !flags.is_given("--steps"))
    faults.add("--epochs, --steps", "neither", "at least one: how long to train");
  job.update = read_update(flags);
  job.seed = flags.seed("--seed");
  job.checkpoints = read_checkpoints(flags);
  job.weights_file = existing_path(flags, "--weights", false).value_or("");
  const RankDevices devices = rank_devices(flags, job.plan);
  job.hardware = devices.hardware;
  job.threads_per_rank = devices.threads_per_rank;
  job.timeout = flags.seconds("--timeout").value_or(job.timeout);
  (void)flags.integer("--max-restarts", {0, 1000000});
  if (flags.is_given("--hosts")) flags.refuse({"--hostfile"}, "together with --hosts");
  refuse_in_job(flags, {"--max-restarts", "--hosts", "--hostfile"});
  if (!is_rank_of_job()) (void)existing_path(flags, "--hostfile", false);  // ranks elsewhere do without
  const OutputFile log(flags, "--log");
  if (log) job.log_file = log.path();
  const OutputFile trace(flags, "--trace");
  if (trace) job.trace_file = trace.path();
  job.is_json = flags.is_on("--json");
  job.is_quiet = flags.is_on("--quiet");
  faults.throw_if_any();
  return job;
}

std::optional<std::string> infeasible_reason(const exec::TrainJob& job) {
  const auto compiled = Compiler(job.plan.problem).compile(job.plan.plan);
  const auto* reason = std::get_if<Infeasible>(&compiled);
  if (reason == nullptr) return std::nullopt;
  return "the plan cannot run: " + infeasible_text(*reason, *job.plan.problem.cluster);
}

exec::PredictJob read_predict_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  exec::PredictJob job;
  job.checkpoint = flags.required("--checkpoint", "a checkpoint of gabra train").value_or("");
  job.data = read_data(flags, false);
  job.volumes = flag_set.values("--volume");
  if (job.data.has_value() == !job.volumes.empty())
    faults.add("--data, --volume", job.volumes.empty() ? "neither" : "both", "one of the two");
  const OutputFile table(flags, "--output");
  if (table) job.table_file = table.path();
  job.hardware = read_hardware(flags);
  job.threads = flags.integer("--threads", {1, kMostThreads}).value_or(1);
  job.is_json = flags.is_on("--json");
  faults.throw_if_any();
  return job;
}

exec::ExplainJob read_explain_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  exec::ExplainJob job;
  job.checkpoint = flags.required("--checkpoint", "a checkpoint of gabra train").value_or("");
  job.volume = flags.required("--volume", "a scan, .nii or .nii.gz").value_or("");
  job.class_name = flags.text("--class");
  job.layer = flags.text("--layer");
  const OutputFile heat(flags, "--output");
  if (heat && !heat.path().ends_with(".nii") && !heat.path().ends_with(".nii.gz"))
    faults.add("--output", in_quotes(heat.path()), "a name that ends in .nii or .nii.gz");
  if (heat) job.heat_file = heat.path();
  const OutputFile picture(flags, "--png");
  if (picture) job.picture_file = picture.path();
  if (!flags.is_given("--output") && !flags.is_given("--png"))
    faults.add("--output, --png", "neither", "at least one: where the heat map goes");
  job.hardware = read_hardware(flags);
  job.threads = flags.integer("--threads", {1, kMostThreads}).value_or(1);
  job.is_json = flags.is_on("--json");
  faults.throw_if_any();
  return job;
}

MeasureRanks read_measure_ranks(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  MeasureRanks ranks;
  ranks.hardware = read_hardware(flags);
  ranks.threads_per_rank = flags.integer("--threads-per-rank", {1, kMostThreads}).value_or(1);
  ranks.timeout = flags.seconds("--timeout").value_or(ranks.timeout);
  faults.throw_if_any();
  return ranks;
}

}  // namespace gabra::cli
