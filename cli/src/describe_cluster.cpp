// SPDX-License-Identifier: MIT
#include "commands.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/file.hpp"
#include "output_file.hpp"
#include "table.hpp"
#include "text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra::cli {
namespace {

constexpr std::size_t kMostMatrix = 16;
constexpr std::size_t kMostLinks = 128;

std::string vertex_name(const Cluster& cluster, VertexId vertex) {
  const std::size_t devices = cluster.device_count();
  return vertex.index() < devices ? cluster.device(DeviceId(vertex.index())).name
                                  : cluster.description().switches[vertex.index() - devices].name;
}

std::string kind_table(const Cluster& cluster) {
  std::string text;
  for (const DeviceKind& kind : cluster.description().kinds) {
    text += fmt::format("  {}: {} float32, {} bfloat16, memory {} at {}, launch {}, {} idle, {} busy\n", kind.name,
                        to_text(kind.peak_float32), to_text(kind.peak_bfloat16), to_text(kind.memory),
                        to_text(kind.memory_bandwidth), to_text(kind.launch), to_text(kind.idle_power),
                        to_text(kind.busy_power));
    Table table({{"arithmetic"},
                 {"of peak flops", Table::Align::Right},
                 {"half of it at rows", Table::Align::Right},
                 {"of bandwidth", Table::Align::Right}});
    for (std::size_t i = 0; i < kComputeClassCount; ++i)
      table.add_row({std::string(kComputeClassNames[i]), percent(kind.efficiency[i].flops),
                     fmt::format("{:g}", kind.efficiency[i].half_rows), percent(kind.efficiency[i].bandwidth)});
    text += table.to_text(4);
    text += fmt::format("    {}{}; source: {}\n", kind.is_calibrated ? "calibrated on hardware" : "never calibrated",
                        kind.measured_on ? " (" + to_text(*kind.measured_on) + ")" : "", kind.source);
  }
  return text;
}

std::string device_list(const Cluster& cluster) {
  Table table({{"device"}, {"number", Table::Align::Right}, {"kind"}, {"node", Table::Align::Right}});
  for (std::size_t i = 0; i < cluster.device_count(); ++i) {
    const Device& device = cluster.device(DeviceId(i));
    table.add_row({device.name, std::to_string(i), cluster.kind(device.kind).name, std::to_string(device.node)});
  }
  return table.to_text();
}

std::string link_table(const Cluster& cluster) {
  Table table({{"link"},
               {"from"},
               {"to"},
               {"bandwidth", Table::Align::Right},
               {"latency", Table::Align::Right},
               {"lanes", Table::Align::Right},
               {"sharing"}});
  std::size_t shown = 0;
  for (const Link& link : cluster.links()) {
    if (shown++ == kMostLinks) {
      table.add_row({fmt::format("... {} more; --json has all", cluster.links().size() - kMostLinks)});
      break;
    }
    table.add_row({link.name, vertex_name(cluster, link.from), vertex_name(cluster, link.to), to_text(link.bandwidth),
                   to_text(link.latency), std::to_string(link.lanes),
                   link.is_fat_pipe ? "each flow gets all" : (link.is_nvlink ? "shared, NVLink" : "shared")});
  }
  return table.to_text();
}

/// GB/s between the first devices.
std::string bandwidth_matrix(const Cluster& cluster) {
  const std::size_t count = std::min(cluster.device_count(), kMostMatrix);
  std::vector<Table::Column> columns{{"GB/s"}};
  for (std::size_t i = 0; i < count; ++i) columns.push_back({cluster.device(DeviceId(i)).name, Table::Align::Right});
  Table table(std::move(columns));
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::string> row{cluster.device(DeviceId(i)).name};
    for (std::size_t j = 0; j < count; ++j)
      row.push_back(i == j ? "-"
                           : fmt::format("{:.4g}", cluster.route(DeviceId(i), DeviceId(j)).bandwidth.value() / 1e9));
    table.add_row(std::move(row));
  }
  std::string text = table.to_text();
  if (count < cluster.device_count())
    text += fmt::format("  the first {} of {} devices\n", count, cluster.device_count());
  return text;
}

std::string cluster_text(const Cluster& cluster) {
  const CollectiveParameters& collective = cluster.description().collective;
  std::string text = fmt::format("cluster {}: {} devices, {} links\n\nkinds of devices\n", cluster.name(),
                                 cluster.device_count(), cluster.links().size());
  text += kind_table(cluster) + "\ndevices\n" + device_list(cluster) + "\nlinks\n" + link_table(cluster);
  text += "\nbandwidth of the route, alone on it\n" + bandwidth_matrix(cluster);
  text += fmt::format("\nall-reduce: launch {}, step {}, round overhead {:g}, half efficiency at {} (exponent {:g}), ",
                      to_text(collective.launch), to_text(collective.step), collective.round_overhead,
                      to_text(collective.half_bytes), collective.exponent);
  text += fmt::format("low-latency protocol at {} below {} per step and ring, trees at {}\n  source: {}\n",
                      percent(collective.low_latency_share), to_text(collective.switch_bytes),
                      percent(collective.tree_efficiency), collective.source);
  text += "\nsources\n";
  for (const std::string& source : cluster.description().sources) text += "  " + source + '\n';
  const std::string note = calibration_note(cluster);
  return text + (note.empty() ? "" : "Note: never calibrated on hardware: see the kinds of devices\n");
}

}  // namespace

void add_describe_cluster_flags(FlagSet& flags) {
  flags.add_positional("CLUSTER", "a preset with options (dgx-a100:nodes=4), or a file");
  flags.add_switch("--json", "write the gabra/cluster/1 file on stdout");
  flags.add("--platform-xml", "FILE", "also write the cluster as a SimGrid platform file");
}

bool describe_cluster_needs_simulator(const FlagSet& flags) {
  const auto& names = flags.values("CLUSTER");
  return !flags.values("--platform-xml").empty() || (names.size() == 1 && is_platform_file(names.front()));
}

int run_describe_cluster(const FlagSet& flags, PlatformReader read_platform,
                         std::string (*platform_text)(const Cluster& cluster)) {
  FaultList faults;
  FlagReader reader(flags, faults);
  const auto name = reader.required("CLUSTER", "a preset or a file");
  const OutputFile platform_file(reader, "--platform-xml");
  faults.throw_if_any();
  const Cluster cluster = load_cluster(*name, read_platform);
  if (platform_file) platform_file.write(platform_text(cluster));
  print_to_stdout(reader.is_on("--json") ? to_json_text(cluster) : cluster_text(cluster));
  return kDone;
}

}  // namespace gabra::cli
