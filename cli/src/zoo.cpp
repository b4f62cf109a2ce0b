// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"

#include "commands.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

namespace gabra::cli {
namespace {

using json::Value;

std::string to_json() {
  Value networks = Value::array();
  for (const ZooEntry& entry : network_zoo()) {
    Value options = Value::array();
    for (const ZooOption& option : entry.options)
      options.push_back({{"name", option.name}, {"default", option.fallback}, {"meaning", option.meaning}});
    networks.push_back({{"name", entry.name}, {"summary", entry.summary}, {"options", std::move(options)}});
  }
  Value clusters = Value::array();
  for (const ClusterPreset& preset : cluster_presets())
    clusters.push_back({{"name", preset.name}, {"summary", preset.summary}, {"options", preset.options}});
  const Value value{{"schema", "gabra/zoo/1"}, {"networks", std::move(networks)}, {"clusters", std::move(clusters)}};
  return value.dump(1) + "\n";
}

std::string to_text() {
  std::string text = "networks (--network NAME, or NAME:option=value,option=value)\n";
  for (const ZooEntry& entry : network_zoo()) {
    text += fmt::format("\n  {:<18} {}\n", entry.name, entry.summary);
    for (const ZooOption& option : entry.options)
      text += fmt::format("    {:<16} {} (default {})\n", option.name, option.meaning, option.fallback);
  }
  text += "\nclusters (--cluster NAME, or NAME:option=value,option=value)\n";
  for (const ClusterPreset& preset : cluster_presets()) {
    text += fmt::format("\n  {:<18} {}\n", preset.name, preset.summary);
    for (const std::string& option : preset.options) {
      const std::size_t equals = option.find('=');
      text += fmt::format("    {:<16} {}\n", option.substr(0, equals),
                          equals == std::string::npos ? "" : option.substr(equals + 1));
    }
  }
  return text;
}

}  // namespace

void add_zoo_flags(FlagSet& flags) { flags.add_switch("--json", "one JSON document on stdout"); }

int run_zoo(const FlagSet& flags) {
  FaultList faults;
  const FlagReader reader(flags, faults);
  faults.throw_if_any();
  print_to_stdout(reader.is_on("--json") ? to_json() : to_text());
  return kDone;
}

}  // namespace gabra::cli
