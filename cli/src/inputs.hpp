// SPDX-License-Identifier: MIT
#pragma once

#include "flags.hpp"
#include "gabra/plan/plan_file.hpp"
#include "gabra/plan/problem.hpp"

#include <memory>
#include <optional>
#include <string>

namespace gabra::cli {

/// Reads a SimGrid platform file; only programs that link the simulator have one.
using PlatformReader = Cluster (*)(const std::string& path);

/// What `--cluster` means: a preset with options, or a file (gabra/cluster/1, or SimGrid platform XML read by
/// `read_platform`). A name that is both is the preset's. Throws InputError.
[[nodiscard]] Cluster load_cluster(const std::string& name_or_file, PlatformReader read_platform);

/// Whether `name_or_file` is an existing file that starts like XML: only SimGrid can read it.
[[nodiscard]] bool is_platform_file(const std::string& name_or_file);

/// Loads inputs of several flags, collecting the faults of all.
class InputLoader {
 public:
  InputLoader(FlagReader& flags, PlatformReader read_platform) : flags_(flags), read_platform_(read_platform) {}

  /// Null when not given or faulty.
  [[nodiscard]] std::shared_ptr<const Network> network(const std::string& flag);
  [[nodiscard]] std::shared_ptr<const Cluster> cluster(const std::string& flag);
  [[nodiscard]] std::shared_ptr<const Profile> profile(const std::string& flag);
  /// A plan file with what replaces its own parts.
  [[nodiscard]] std::optional<PlanFile> plan(const std::string& flag, std::shared_ptr<const Cluster> cluster,
                                             std::shared_ptr<const Profile> profile);
  /// --global-batch, --precision, --optimizer, --gradient-sum, --clip-norm.
  [[nodiscard]] TrainingSettings training();

 private:
  FlagReader& flags_;
  PlatformReader read_platform_;
};

/// Adds a fault when the profile has no layer of the network on any kind of device of the cluster: it was measured for
/// another network or cluster.
void check_profile(const Problem& problem, FaultList& faults);

/// --precision, --optimizer, --gradient-sum.
void read_arithmetic(FlagReader& flags, TrainingSettings& training);
void add_arithmetic_flags(FlagSet& flags);

/// Adds the flags that InputLoader::training() reads.
void add_training_flags(FlagSet& flags);

}  // namespace gabra::cli
