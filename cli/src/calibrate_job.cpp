// SPDX-License-Identifier: MIT
#include "calibrate_job.hpp"

#include "device_request.hpp"
#include "inputs.hpp"
#include "output_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostThreads = 1024;
constexpr std::int64_t kMostMicroBatch = 65536;

std::vector<std::int64_t> read_sizes(FlagReader& flags, const std::string& name) {
  std::vector<std::int64_t> sizes;
  const auto text = flags.required(name, "sizes of micro-batches, for example 1,2,4");
  if (!text) return sizes;
  for (std::size_t begin = 0; begin <= text->size();) {
    const std::size_t end = std::min(text->find(',', begin), text->size());
    std::int64_t size = 0;
    const auto [stop, error] = std::from_chars(text->data() + begin, text->data() + end, size);
    if (error == std::errc() && stop == text->data() + end && size >= 1 && size <= kMostMicroBatch)
      sizes.push_back(size);
    else
      flags.faults().add(name, in_quotes(text->substr(begin, end - begin)),
                         fmt::format("whole numbers from 1 to {}, separated by commas", kMostMicroBatch));
    begin = end + 1;
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

void refuse_opaque_layers(FlagReader& flags, const Network& network) {
  for (const Layer& layer : network.layers())
    if (std::holds_alternative<Opaque>(layer.attributes)) {
      flags.faults().add("--network",
                         fmt::format("{} with the opaque layer {}: it has costs but no arithmetic", network.name(),
                                     in_quotes(layer.name)),
                         "a network without opaque layers");
      return;
    }
}

}  // namespace

exec::CalibrateJob read_calibrate_job(const FlagSet& flag_set) {
  FaultList faults;
  FlagReader flags(flag_set, faults);
  exec::CalibrateJob job;
  flags.refuse({"--cluster", "--device-kind"}, "without --from-table");
  InputLoader loader(flags, nullptr);
  if (!flags.is_given("--network")) faults.add("--network", "nothing", "a zoo name or a file (it is required)");
  job.network = loader.network("--network");
  if (job.network != nullptr) refuse_opaque_layers(flags, *job.network);
  job.micro_batches = read_sizes(flags, "--micro-batches");
  if (!flags.is_given("--devices")) faults.add("--devices", "nothing", "cpu:NUMBER or cuda:NUMBER, or --from-table");
  if (const auto devices = read_devices(flags, "--devices")) {
    job.hardware = devices->hardware;
    job.devices = devices->count;
  }
  read_arithmetic(flags, job.training);
  job.confidence = flags.number("--confidence", {0.001, 1.0}).value_or(job.confidence);
  job.time_limit = flags.seconds("--time-limit").value_or(job.time_limit);
  job.threads_per_rank = flags.integer("--threads-per-rank", {1, kMostThreads}).value_or(1);
  job.seed = flags.seed("--seed").value_or(0);
  job.timeout = flags.seconds("--timeout").value_or(job.timeout);
  if (flags.is_given("--hosts")) flags.refuse({"--hostfile"}, "together with --hosts");
  (void)flags.required("--output", "a file for the cluster");
  const OutputFile machine(flags, "--output");
  if (machine) job.machine_file = machine.path();
  const OutputFile profile(flags, "--profile");
  if (profile) job.profile_file = profile.path();
  job.is_json = flags.is_on("--json");
  job.is_quiet = flags.is_on("--quiet");
  faults.throw_if_any();
  return job;
}

}  // namespace gabra::cli
