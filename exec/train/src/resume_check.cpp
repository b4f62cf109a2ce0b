// SPDX-License-Identifier: MIT
#include "resume_check.hpp"

#include "data_set.hpp"
#include "gabra/plan/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string>
#include <vector>

namespace gabra::exec {
namespace {

constexpr std::size_t kMostShown = 3;

/// A setting of which the checkpoint has one value and this run another.
class Comparison {
 public:
  Comparison(const Checkpoint& checkpoint, FaultList& faults) : place_(checkpoint.path), faults_(faults) {}

  /// `name`: "the learning rate"; `source`: where this run has its value from.
  template <class Value>
  void expect_equal(const std::string& name, const Value& theirs, const Value& ours, const std::string& source) {
    if (theirs != ours) add(fmt::format("{} {}", name, theirs), fmt::format("{} as {} says", ours, source));
  }
  void add(std::string seen, std::string allowed) { faults_.add(place_, std::move(seen), std::move(allowed)); }

 private:
  const std::string& place_;
  FaultList& faults_;
};

std::string clip_text(const TrainingSettings& training) {
  return training.clip_norm ? fmt::format("{}", *training.clip_norm) : "none";
}

std::string name_of(LearningRateRule rule) {
  switch (rule) {
    case LearningRateRule::Constant:
      return "constant";
    case LearningRateRule::Cosine:
      return "cosine";
    case LearningRateRule::Step:
      return "step";
  }
  return "";
}

void compare_learning_rates(Comparison& comparison, const LearningRate& theirs, const LearningRate& ours) {
  comparison.expect_equal("the learning rate", theirs.base, ours.base, "--learning-rate");
  comparison.expect_equal("the schedule", name_of(theirs.rule), name_of(ours.rule), "--schedule");
  comparison.expect_equal("steps of warm-up:", theirs.warmup_steps, ours.warmup_steps, "--warmup-steps");
  if (theirs.rule != LearningRateRule::Step || ours.rule != LearningRateRule::Step) return;
  comparison.expect_equal("epochs between changes of the learning rate:", theirs.epochs_per_step, ours.epochs_per_step,
                          "--step-epochs");
  comparison.expect_equal("the factor of the learning rate", theirs.factor, ours.factor, "--step-factor");
}

/// "sub-103 from train to test" for everybody of the checkpoint or of this run who is in another part.
std::vector<std::string> moves(const DataDescription& theirs, const DataDescription& ours) {
  std::map<std::string, std::pair<std::string, std::string>> parts;
  constexpr const char* kNobody = "no part";
  const auto collect = [&](const DataDescription& data, const auto& set) {
    for (const auto* names : {&data.train, &data.validation, &data.test})
      for (const std::string& name : *names)
        set(parts.try_emplace(name, kNobody, kNobody).first->second, data.part_of(name));
  };
  collect(theirs, [](auto& both, const std::string& part) { both.first = part; });
  collect(ours, [](auto& both, const std::string& part) { both.second = part; });
  std::vector<std::string> result;
  for (const auto& [name, both] : parts)
    if (both.first != both.second) result.push_back(fmt::format("{} in {}, here {}", name, both.first, both.second));
  return result;
}

void compare_data(Comparison& comparison, const DataDescription& theirs, const DataDescription& ours) {
  comparison.expect_equal("classes", fmt::format("{}", fmt::join(theirs.task.classes, ",")),
                          fmt::format("{}", fmt::join(ours.task.classes, ",")), "--task or --classes");
  const auto preparation = [](const DataDescription& data) {
    return fmt::format("{} voxels of {} mm, percentiles {} to {}", fmt::join(data.settings.extent, "x"),
                       data.settings.voxel_mm, data.settings.low_percentile, data.settings.high_percentile);
  };
  comparison.expect_equal("scans prepared to", preparation(theirs), preparation(ours), "this gabra");
  std::vector<std::string> moved = moves(theirs, ours);
  if (!moved.empty()) {
    const std::size_t count = moved.size();
    if (count > kMostShown) moved.resize(kMostShown);
    comparison.add(
        fmt::format("another division of the people, {} differ: {}{}", count, fmt::join(moved, "; "),
                    count > kMostShown ? "; ..." : ""),
        "everybody in the same part: the data set, --folds, --fold, --sessions and --skip-bad of the checkpoint's run");
  } else if (theirs.train_scans != ours.train_scans) {
    comparison.add("other scans of the people trained on", "the data set and --sessions of the checkpoint's run");
  }
}

}  // namespace

void compare_settings(const Checkpoint& checkpoint, const CheckpointInfo& ours, FaultList& faults) {
  const CheckpointInfo& theirs = checkpoint.info;
  Comparison comparison(checkpoint, faults);
  if (theirs.network->fingerprint() != ours.network->fingerprint())
    comparison.add(fmt::format("a checkpoint of another network, {}", theirs.network->name()),
                   fmt::format("one of the plan's network, {}", ours.network->name()));
  if (!theirs.run)
    return comparison.add("no field \"run\": an older gabra wrote it",
                          "a checkpoint that says how it was trained; --weights starts from its weights");
  const RunSettings& before = *theirs.run;
  const RunSettings& now = *ours.run;
  comparison.expect_equal("the global batch", theirs.training.global_batch, ours.training.global_batch, "the plan");
  comparison.expect_equal("micro-batches per step:", before.micro_batches, now.micro_batches, "the plan");
  comparison.expect_equal("the optimizer", gabra::to_text(theirs.training.optimizer),
                          gabra::to_text(ours.training.optimizer), "the plan");
  comparison.expect_equal("the precision", gabra::to_text(theirs.training.precision),
                          gabra::to_text(ours.training.precision), "the plan");
  comparison.expect_equal("the gradient sum", gabra::to_text(theirs.training.gradient_sum),
                          gabra::to_text(ours.training.gradient_sum), "the plan");
  comparison.expect_equal("the clip norm", clip_text(theirs.training), clip_text(ours.training), "the plan");
  comparison.expect_equal("the seed", theirs.seed, ours.seed, "--seed");
  compare_learning_rates(comparison, before.update.learning_rate, now.update.learning_rate);
  if (ours.training.optimizer == Optimizer::SgdMomentum)
    comparison.expect_equal("the momentum", before.update.momentum, now.update.momentum, "--momentum");
  comparison.expect_equal("the weight decay", before.update.weight_decay, now.update.weight_decay, "--weight-decay");
}

void compare_samples(const Checkpoint& checkpoint, const CheckpointInfo& ours, FaultList& faults) {
  const CheckpointInfo& theirs = checkpoint.info;
  Comparison comparison(checkpoint, faults);
  comparison.expect_equal("training samples:", theirs.run->samples, ours.run->samples,
                          "--data, --augment, --synthetic or --batch-file");
  // The learning rate of the steps that are done depends on the length for this rule alone.
  if (ours.run->update.learning_rate.rule == LearningRateRule::Cosine)
    comparison.expect_equal("a cosine schedule of steps:", theirs.run->steps, ours.run->steps, "--epochs or --steps");
  if (theirs.data == "null" || ours.data == "null") return;
  compare_data(comparison, parse_data_description(theirs.data, checkpoint.path),
               parse_data_description(ours.data, checkpoint.path));
}

}  // namespace gabra::exec
