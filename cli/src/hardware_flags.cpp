// SPDX-License-Identifier: MIT
#include "device_request.hpp"
#include "hardware_request.hpp"
#include "job_launcher.hpp"

#include <fmt/format.h>

#include <filesystem>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostRanks = 65536;
constexpr std::int64_t kMostSteps = 100000;
constexpr std::int64_t kMostMeasurements = 1000000;
constexpr std::int64_t kUsualMeasurements = 12;

const std::vector<std::string> kEvaluators{"sim", "exec", "both"};
const std::vector<std::string> kHardwareOnly{"--devices",    "--measure",          "--measure-steps", "--warm-up",
                                             "--step-limit", "--threads-per-rank", "--measurements",  "--launcher",
                                             "--hosts",      "--hostfile"};

/// 0 of what is none.
std::int64_t whole_number(const std::string& text) {
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) return 0;
  return std::stoll(text);
}

/// "cpu:2", "cuda:4".
void read_devices(FlagReader& flags, HardwareRequest& request) {
  const auto text = flags.required("--devices", "cpu:N or cuda:N: N ranks, each with a processor's cores or a GPU");
  if (!text) return;
  const std::size_t colon = text->find(':');
  const std::string kind = text->substr(0, colon);
  const std::int64_t count = colon == std::string::npos ? 0 : whole_number(text->substr(colon + 1));
  if ((kind == "cpu" || kind == "cuda") && count >= 1 && count <= kMostRanks) {
    request.is_cuda = kind == "cuda";
    request.ranks = count;
    return;
  }
  flags.faults().add("--devices", in_quotes(*text), fmt::format("cpu:N or cuda:N, N from 1 to {}", kMostRanks));
}

/// "12", "60s".
void read_budget(FlagReader& flags, HardwareRequest& request) {
  if (request.priced_by != PricedBy::Both) {
    flags.refuse({"--measure"}, "without --evaluator both");
    return;
  }
  const auto text = flags.text("--measure");
  if (!text) {
    if (!flags.is_given("--measure")) request.measurements = kUsualMeasurements;
    return;
  }
  if (text->find_first_not_of("0123456789") != std::string::npos)
    request.measurement_time = flags.seconds("--measure");
  else
    request.measurements = flags.integer("--measure", {1, kMostMeasurements});
}

void read_store(FlagReader& flags, HardwareRequest& request) {
  request.reuses = !flags.is_on("--no-reuse");
  request.store_path = flags.text("--measurements");
}

}  // namespace

void add_hardware_flags(FlagSet& flags) {
  flags.add("--evaluator", "NAME",
            "sim (the default), exec: measure every plan on real devices, or both: search in simulation and measure "
            "what is promising");
  flags.add("--devices", "KIND:N",
            "with exec and both: cpu:2, cuda:4; cpu:N without --cluster is workstation-cpu:gpus=N");
  flags.add("--measure", "BUDGET", "with both: most new measurements, or seconds of them (60s); 12 by default");
  flags.add("--measure-steps", "NUMBER", "steps of a measurement; 5 by default");
  flags.add("--warm-up", "NUMBER", "steps before them; 2 by default");
  flags.add("--step-limit", "TIME",
            "a plan whose step takes longer, or whose ranks are silent for so long, is "
            "infeasible; 60s by default");
  flags.add("--threads-per-rank", "NUMBER",
            "with cpu:N, cores of each rank; as many as the cluster was calibrated with, else 1");
  flags.add("--measurements", "FILE", "where measurements are kept and found again; in the user's cache by default");
  flags.add_switch("--no-reuse", "measure again what is kept");
  flags.add("--launcher", "NAME", "mpirun (the default) or srun: what starts the ranks");
  flags.add("--hosts", "LIST", "machines, handed to mpirun --host");
  flags.add("--hostfile", "FILE", "machines, handed to mpirun --hostfile");
}

HardwareRequest read_hardware_request(FlagReader& flags) {
  HardwareRequest request;
  request.priced_by = static_cast<PricedBy>(flags.choice("--evaluator", kEvaluators).value_or(0));
  if (!request.is_on()) {
    flags.refuse(kHardwareOnly, "without --evaluator exec or both");
    if (flags.is_on("--no-reuse"))
      flags.faults().add("--no-reuse", "this flag without --evaluator exec or both", "the flag with one of them");
    return request;
  }
  read_devices(flags, request);
  read_budget(flags, request);
  request.steps = flags.integer("--measure-steps", {1, kMostSteps}).value_or(request.steps);
  request.warm_up = flags.integer("--warm-up", {1, kMostSteps}).value_or(request.warm_up);
  request.step_limit = flags.seconds("--step-limit").value_or(request.step_limit);
  read_store(flags, request);
  request.launcher = launcher_words(flags, static_cast<std::size_t>(request.ranks));
  return request;
}

std::vector<std::string> take_calibrated_threads(FlagReader& flags, const Problem& problem, HardwareRequest& request) {
  if (!request.is_on() || request.ranks == 0) return {};
  const HardwareFlag hardware{"--devices", request.is_cuda ? exec::Hardware::Cuda : exec::Hardware::Cpu};
  const RankDevices devices = read_rank_devices(
      flags, hardware, problem.cluster == nullptr ? std::vector<MeasuredOn>{} : calibrated_with(*problem.cluster),
      OtherHardware::Refused);
  request.threads_per_rank = devices.threads_per_rank;
  return devices.notes;
}

std::string HardwareRequest::cluster_name() const {
  return is_cuda ? "" : fmt::format("workstation-cpu:gpus={}", ranks);
}

void check_can_measure(const HardwareRequest& request, const Problem& problem, FaultList& faults) {
  if (!request.is_on() || request.ranks == 0) return;
  if (problem.cluster != nullptr && problem.cluster->device_count() != static_cast<std::size_t>(request.ranks))
    faults.add("--devices",
               fmt::format("{} ranks for the {} devices of {}", request.ranks, problem.cluster->device_count(),
                           problem.cluster->name()),
               "a rank for every device of the cluster");
  if (problem.network == nullptr) return;
  for (const Layer& layer : problem.network->layers())
    if (std::holds_alternative<Opaque>(layer.attributes)) {
      faults.add("--network", fmt::format("the opaque layer {}: it has costs but no arithmetic", in_quotes(layer.name)),
                 "a network without opaque layers; it can be simulated, not measured");
      return;
    }
}

}  // namespace gabra::cli
