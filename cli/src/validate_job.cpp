// SPDX-License-Identifier: MIT
#include "validate_job.hpp"

#include "gabra/core/file.hpp"
#include "inputs.hpp"
#include "job_launcher.hpp"
#include "output_file.hpp"
#include "ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostSteps = 100000;

std::vector<std::string> plan_paths(FlagReader& flags) {
  if (flags.is_given("--plan") == flags.is_given("--plans")) {
    flags.faults().add("--plan, --plans", flags.is_given("--plan") ? "both" : "neither", "one of the two");
    return {};
  }
  if (const auto path = flags.text("--plan")) return {*path};
  std::vector<std::string> paths;
  const auto folder = flags.text("--plans");
  if (!folder) return paths;
  std::error_code error;
  if (!std::filesystem::is_directory(*folder, error)) {
    flags.faults().add("--plans", in_quotes(*folder) + ", not a folder", "an existing folder");
    return paths;
  }
  for (const auto& entry : std::filesystem::directory_iterator(*folder, error))
    if (entry.path().extension() == ".json") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) flags.faults().add("--plans", in_quotes(*folder) + ", without a plan", "a folder with *.json");
  return paths;
}

std::size_t device_count(const Plan& plan) {
  std::set<DeviceId> devices;
  for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
  return devices.size();
}

void check(const ValidateJob::Item& item, FaultList& faults) {
  const Problem& problem = item.file.problem;
  check_profile(problem, faults);
  if (problem.profile == nullptr && item.file.profile_fingerprint)
    faults.add("--profile", item.path + ", which was made with a profile, without one", "the profile");
  if (problem.network->has_opaque_layers())
    faults.add(item.path, "a network with opaque layers: they have costs but no arithmetic",
               "a network that can be run");
}

void read_plans(FlagReader& flags, ValidateJob& job) {
  InputLoader loader(flags, nullptr);
  const auto cluster = loader.cluster("--cluster");
  const auto profile = loader.profile("--profile");
  for (const std::string& path : plan_paths(flags)) {
    std::optional<PlanFile> file;
    collect_faults(flags.faults(), [&] { file = parse_plan(read_file(path), path, cluster, profile); });
    if (!file) continue;
    job.plans.push_back({std::filesystem::path(path).stem().string(), path, std::move(*file)});
    check(job.plans.back(), flags.faults());
    job.ranks = std::max(job.ranks, device_count(job.plans.back().file.plan));
  }
}

/// Who starts the ranks.
void read_launcher(FlagReader& flags, ValidateJob& job) {
  if (!is_rank_of_job()) {
    job.launcher = launcher_words(flags, job.ranks);
    return;
  }
  refuse_in_job(flags, {"--launcher", "--hosts", "--hostfile"});
  const std::size_t size = job_size();
  if (size < job.ranks)
    flags.faults().add(job.is_set ? "--plans" : "--plan",
                       fmt::format("a plan of {} devices in a job of {} rank{}", job.ranks, size, size == 1 ? "" : "s"),
                       "a rank for every device");
  job.ranks = size;
}

}  // namespace

std::vector<std::string> ValidateJob::measure_arguments() const {
  return {"measure",
          "--device",
          devices.hardware == exec::Hardware::Cuda ? "cuda" : "cpu",
          "--threads-per-rank",
          std::to_string(devices.threads_per_rank),
          "--timeout",
          fmt::format("{}s", timeout.value())};
}

ValidateJob read_validate_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  ValidateJob job;
  job.is_set = flags.is_given("--plans");
  read_plans(flags, job);
  job.steps = flags.integer("--steps", {1, kMostSteps}).value_or(job.steps);
  job.rounds = std::min(flags.integer("--rounds", {1, kMostSteps}).value_or(job.rounds), job.steps);
  std::vector<const PlanFile*> files;
  for (const ValidateJob::Item& item : job.plans) files.push_back(&item.file);
  job.devices = read_rank_devices(flags, read_hardware_flag(flags), calibrated_with(files), OtherHardware::Refused);
  job.timeout = flags.seconds("--timeout").value_or(job.timeout);
  job.seed = flags.seed("--seed").value_or(0);
  read_launcher(flags, job);
  for (const char* flag : {"--html", "--trace"}) (void)OutputFile(flags, flag);
  job.is_quiet = flags.is_on("--quiet");
  faults.throw_if_any();
  return job;
}

}  // namespace gabra::cli
