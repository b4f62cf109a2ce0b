// SPDX-License-Identifier: MIT
#include "inputs.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/zoo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace gabra::cli {
namespace {

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const ClusterPreset& preset : cluster_presets()) names.push_back(preset.name);
  return names;
}

bool starts_like_xml(std::string_view contents) {
  const std::size_t first = contents.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && contents[first] == '<';
}

}  // namespace

bool is_platform_file(const std::string& name_or_file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(name_or_file, error)) return false;
  std::ifstream stream(name_or_file, std::ios::binary);
  std::string beginning(256, '\0');
  stream.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(stream.gcount()));
  return starts_like_xml(beginning);
}

Cluster load_cluster(const std::string& name_or_file, PlatformReader read_platform) {
  const std::string name = name_or_file.substr(0, name_or_file.find(':'));
  const std::vector<std::string> presets = preset_names();
  if (std::find(presets.begin(), presets.end(), name) != presets.end()) return make_preset_cluster(name_or_file);
  std::error_code error;
  if (!std::filesystem::exists(name_or_file, error))
    throw_input_error("--cluster",
                      in_quotes(name_or_file) + ", neither a preset nor a file" + did_you_mean(name, presets),
                      fmt::format("a file, or one of {}", fmt::join(presets, ", ")));
  if (is_platform_file(name_or_file)) {
    if (std::filesystem::file_size(name_or_file, error) > static_cast<std::uintmax_t>(kMostFileBytes))
      (void)read_file(name_or_file);  // says that it is too large
    return read_platform(name_or_file);
  }
  return parse_cluster(read_file(name_or_file), name_or_file);
}

std::shared_ptr<const Network> InputLoader::network(const std::string& flag) {
  std::shared_ptr<const Network> result;
  if (const auto text = flags_.text(flag))
    collect_faults(flags_.faults(), [&] { result = std::make_shared<const Network>(load_network(*text)); });
  return result;
}

std::shared_ptr<const Cluster> InputLoader::cluster(const std::string& flag) {
  std::shared_ptr<const Cluster> result;
  if (const auto text = flags_.text(flag))
    collect_faults(flags_.faults(),
                   [&] { result = std::make_shared<const Cluster>(load_cluster(*text, read_platform_)); });
  return result;
}

std::shared_ptr<const Profile> InputLoader::profile(const std::string& flag) {
  std::shared_ptr<const Profile> result;
  if (const auto path = flags_.text(flag))
    collect_faults(flags_.faults(),
                   [&] { result = std::make_shared<const Profile>(parse_profile(read_file(*path), *path)); });
  return result;
}

std::optional<PlanFile> InputLoader::plan(const std::string& flag, std::shared_ptr<const Cluster> cluster,
                                          std::shared_ptr<const Profile> profile) {
  std::optional<PlanFile> result;
  if (const auto path = flags_.text(flag))
    collect_faults(flags_.faults(),
                   [&] { result = parse_plan(read_file(*path), *path, std::move(cluster), std::move(profile)); });
  return result;
}

TrainingSettings InputLoader::training() {
  TrainingSettings training;
  training.global_batch = flags_.integer("--global-batch", {1, kMostBatch}).value_or(training.global_batch);
  read_arithmetic(flags_, training);
  training.clip_norm = flags_.positive_number("--clip-norm");
  return training;
}

void read_arithmetic(FlagReader& flags, TrainingSettings& training) {
  training.precision = static_cast<Precision>(flags.choice("--precision", {"float32", "bfloat16"}).value_or(0));
  training.optimizer = static_cast<Optimizer>(flags.choice("--optimizer", {"sgd_momentum", "adamw"}).value_or(0));
  training.gradient_sum = static_cast<GradientSum>(flags.choice("--gradient-sum", {"plain", "wide"}).value_or(0));
}

void check_profile(const Problem& problem, FaultList& faults) {
  if (problem.profile == nullptr || problem.network == nullptr || problem.cluster == nullptr) return;
  for (const DeviceKind& kind : problem.cluster->description().kinds)
    for (const Layer& layer : problem.network->layers())
      if (problem.profile->at(kind.name, layer.name, 1)) return;
  faults.add("--profile", "a profile without any layer of this network on any kind of device of this cluster",
             fmt::format("a profile of {} on {}", problem.network->name(), problem.cluster->name()));
}

void add_arithmetic_flags(FlagSet& flags) {
  flags.add("--precision", "FORMAT", "float32 (the default, TF32 off) or bfloat16");
  flags.add("--optimizer", "NAME", "sgd_momentum (the default) or adamw");
  flags.add("--gradient-sum", "HOW",
            "plain (the default), or wide: gradients are added up in float64 (of bfloat16 in float32); on CPU ranks "
            "stages, replicas "
            "and buckets then change no bit of a float32 training; twice the bytes");
}

void add_training_flags(FlagSet& flags) {
  flags.add("--global-batch", "SAMPLES", "samples per update of the weights; 32 by default");
  add_arithmetic_flags(flags);
  flags.add("--clip-norm", "NORM", "clip the gradient of the whole model to this norm; none by default");
}

}  // namespace gabra::cli
