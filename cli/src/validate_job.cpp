// SPDX-License-Identifier: MIT
#include "validate_job.hpp"

#include "gabra/core/file.hpp"
#include "inputs.hpp"
#include "output_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostSteps = 100000;
constexpr std::int64_t kMostThreads = 1024;

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

std::int64_t devices_of(const Plan& plan) {
  std::set<DeviceId> devices;
  for (const Stage& stage : plan.stages) devices.insert(stage.devices.begin(), stage.devices.end());
  return static_cast<std::int64_t>(devices.size());
}

void check(const exec::ValidateJob::Item& item, FaultList& faults) {
  const Problem& problem = item.file.problem;
  check_profile(problem, faults);
  if (problem.profile == nullptr && item.file.profile_fingerprint)
    faults.add("--profile", item.path + ", which was made with a profile, without one", "the profile");
  if (problem.network->has_opaque_layers())
    faults.add(item.path, "a network with opaque layers: they have costs but no arithmetic",
               "a network that can be run");
}

}  // namespace

exec::ValidateJob read_validate_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  exec::ValidateJob job;
  InputLoader loader(flags, nullptr);
  const auto cluster = loader.cluster("--cluster");
  const auto profile = loader.profile("--profile");
  for (const std::string& path : plan_paths(flags)) {
    std::optional<PlanFile> file;
    collect_faults(faults, [&] { file = parse_plan(read_file(path), path, cluster, profile); });
    if (!file) continue;
    job.plans.push_back({path, std::move(*file)});
    check(job.plans.back(), faults);
    job.ranks = std::max(job.ranks, devices_of(job.plans.back().file.plan));
  }
  job.steps = flags.integer("--steps", {1, kMostSteps}).value_or(job.steps);
  job.rounds = std::min(flags.integer("--rounds", {1, kMostSteps}).value_or(job.rounds), job.steps);
  job.hardware = static_cast<exec::Hardware>(flags.choice("--device", {"cpu", "cuda"}).value_or(0));
  job.threads_per_rank = flags.integer("--threads-per-rank", {1, kMostThreads}).value_or(1);
  job.timeout = flags.seconds("--timeout").value_or(job.timeout);
  job.seed = flags.seed("--seed").value_or(0);
  if (flags.is_given("--hosts")) flags.refuse({"--hostfile"}, "together with --hosts");
  if (flags.is_given("--plans")) flags.refuse({"--trace"}, "together with --plans");
  const OutputFile html(flags, "--html");
  const OutputFile trace(flags, "--trace");
  const OutputFile measured(flags, "--measured");
  if (measured) job.measured_file = measured.path();
  job.is_quiet = flags.is_on("--quiet");
  faults.throw_if_any();
  return job;
}

}  // namespace gabra::cli
