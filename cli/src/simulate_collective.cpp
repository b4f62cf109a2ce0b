// SPDX-License-Identifier: MIT
#include "application.hpp"
#include "gabra/cluster/collective.hpp"
#include "gabra/sim/simulator.hpp"
#include "report_json.hpp"
#include "simulate.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

namespace gabra::cli {
namespace {

using json::Value;

/// One size: what the simulator says, and how it was laid on the links.
struct CollectiveTime {
  Bytes size;
  Seconds time;
  double bus_bandwidth = 0.0;  ///< 2(n-1)/n x size / time, bytes per second; what nccl-tests prints
  const AllReduceLayout* layout = nullptr;
};

std::optional<DeviceId> find_device(std::string_view text, const Cluster& cluster) {
  for (std::size_t i = 0; i < cluster.device_count(); ++i)
    if (cluster.device(DeviceId(i)).name == text) return DeviceId(i);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number >= cluster.device_count()) return std::nullopt;
  return DeviceId(number);
}

std::vector<DeviceId> read_devices(FlagReader& flags, const Cluster& cluster) {
  std::vector<DeviceId> devices;
  const auto given = flags.text("--devices");
  if (!given) {
    for (std::size_t i = 0; i < cluster.device_count(); ++i) devices.emplace_back(i);
    return devices;
  }
  std::string_view rest = *given;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    const auto device = find_device(name, cluster);
    if (!device)
      flags.faults().add("--devices", in_quotes(name),
                         fmt::format("numbers from 0 to {} or names of {}, separated by commas",
                                     cluster.device_count() - 1, cluster.name()));
    else if (std::find(devices.begin(), devices.end(), *device) != devices.end())
      flags.faults().add("--devices", in_quotes(name) + " a second time", "each device once");
    else
      devices.push_back(*device);
    if (comma == std::string_view::npos) return devices;
    rest.remove_prefix(comma + 1);
  }
}

std::string_view algorithm_name(CollectiveAlgorithm algorithm) {
  switch (algorithm) {
    case CollectiveAlgorithm::Rings:
      return "rings";
    case CollectiveAlgorithm::Trees:
      return "trees";
    case CollectiveAlgorithm::None:
      break;
  }
  return "none";
}

std::vector<CollectiveTime> simulate_all(const Cluster& cluster, const std::vector<DeviceId>& devices,
                                         const std::vector<Bytes>& sizes, CollectiveModel& model) {
  sim::Simulator simulator(cluster);
  std::vector<CollectiveTime> times;
  for (const Bytes size : sizes) {
    CollectiveTime result{size, sim::simulate_all_reduce(simulator, devices, size), 0.0,
                          &model.all_reduce(devices, size)};
    const auto n = static_cast<double>(devices.size());
    if (result.time.value() > 0.0)
      result.bus_bandwidth = 2.0 * (n - 1.0) / n * static_cast<double>(size.value()) / result.time.value();
    times.push_back(result);
  }
  return times;
}

std::string to_text(const Cluster& cluster, const std::vector<DeviceId>& devices,
                    const std::vector<CollectiveTime>& times) {
  Table table({{"size", Table::Align::Right},
               {"time", Table::Align::Right},
               {"bus bandwidth", Table::Align::Right},
               {"algorithm"},
               {"channels", Table::Align::Right}});
  for (const CollectiveTime& one : times)
    table.add_row({gabra::to_text(one.size), gabra::to_text(one.time),
                   gabra::to_text(BytesPerSecond(one.bus_bandwidth)),
                   std::string(algorithm_name(one.layout->algorithm)), std::to_string(one.layout->channels)});
  const std::string note = calibration_note(cluster);
  return fmt::format("all-reduce over {} of {}\n", names_of(devices, cluster), cluster.name()) + table.to_text() +
         (note.empty() ? "" : "Note: " + note + "\n");
}

std::string to_json(const Cluster& cluster, const std::vector<DeviceId>& devices,
                    const std::vector<CollectiveTime>& times) {
  Value names = Value::array();
  for (const DeviceId device : devices) names.push_back(cluster.device(device).name);
  Value results = Value::array();
  for (const CollectiveTime& one : times)
    results.push_back({{"bytes", one.size.value()},
                       {"time_s", one.time.value()},
                       {"bus_bandwidth_bytes_per_s", one.bus_bandwidth},
                       {"algorithm", algorithm_name(one.layout->algorithm)},
                       {"channels", one.layout->channels}});
  Value document{{"schema", "gabra/collective/1"},
                 {"command", "simulate"},
                 {"collective", "all-reduce"},
                 {"time_s", times.front().time.value()},
                 {"bus_bandwidth_bytes_per_s", times.front().bus_bandwidth},
                 {"cluster", cluster.name()},
                 {"devices", std::move(names)},
                 {"results", std::move(results)}};
  return to_document_text(document);
}

}  // namespace

int run_collective(FlagReader& flags, PlatformReader read_platform) {
  flags.refuse(
      {"--plan", "--network", "--profile", "--stages", "--global-batch", "--precision", "--optimizer", "--gradient-sum",
       "--clip-norm", "--micro-batches", "--schedule", "--bucket", "--trace", "--svg", "--paje", "--timeline"},
      "together with --collective");
  if (flags.is_on("--gantt")) flags.faults().add("--gantt", "this flag together with --collective", "one of the two");
  InputLoader loader(flags, read_platform);
  (void)flags.choice("--collective", {"all-reduce"});
  for (const char* flag : {"--cluster", "--bytes"})
    if (!flags.is_given(flag)) flags.faults().add(flag, "nothing", "a value (this is required with --collective)");
  const std::vector<Bytes> sizes = flags.sizes("--bytes");
  const auto cluster = loader.cluster("--cluster");
  std::vector<DeviceId> devices;
  if (cluster != nullptr) devices = read_devices(flags, *cluster);
  flags.faults().throw_if_any();
  CollectiveModel model(*cluster);
  const auto times = simulate_all(*cluster, devices, sizes, model);
  print_to_stdout(flags.is_on("--json") ? to_json(*cluster, devices, times) : to_text(*cluster, devices, times));
  return kDone;
}

}  // namespace gabra::cli
