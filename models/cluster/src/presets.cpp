// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"

#include "gabra/core/error.hpp"

#include "machines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace gabra {
namespace {

/// A preset's devices over all its machines; plans and tables of routes stay small up to here.
constexpr int kMostPresetDevices = 1024;

const std::vector<std::string> kOptionNames{"nodes", "gpus", "fabric", "memory"};

const detail::Machine* find_machine(std::string_view name) {
  for (const detail::Machine& machine : detail::machines())
    if (machine.name == name) return &machine;
  return nullptr;
}

/// Reads the options of one preset; every fault names the option.
class OptionReader {
 public:
  OptionReader(const detail::Machine& machine, std::string_view text, FaultList& faults)
      : machine_(machine),
        options_(machine.defaults),
        place_(fmt::format("cluster {}", in_quotes(text))),
        faults_(faults) {}

  void read(std::string_view item) {
    const std::size_t equals = item.find('=');
    const std::string name(item.substr(0, equals));
    if (std::find(kOptionNames.begin(), kOptionNames.end(), name) == kOptionNames.end()) {
      faults_.add(place_, "the option " + in_quotes(name) + did_you_mean(name, kOptionNames),
                  fmt::format("one of {}", fmt::join(kOptionNames, ", ")));
      return;
    }
    if (equals == std::string_view::npos) {
      faults_.add(place_, fmt::format("the option {} without a value", name), name + "=VALUE");
      return;
    }
    if (!seen_.insert(name).second) faults_.add(place_, fmt::format("the option {} twice", name), "each option once");
    set(name, item.substr(equals + 1));
  }

  [[nodiscard]] const detail::PresetOptions& options() const { return options_; }
  [[nodiscard]] const std::string& place() const { return place_; }

 private:
  void set(const std::string& name, std::string_view value) {
    if (name == "nodes") {
      set_integer(name, value, kMostPresetDevices / machine_.defaults.gpus, options_.nodes);
    } else if (name == "gpus") {
      set_integer(name, value, machine_.gpu_limit(), options_.gpus);
    } else if (name == "fabric") {
      if (const auto rate = positive(name, value, parse_bytes_per_second(value))) options_.fabric = *rate;
    } else {
      set_memory(name, value);
    }
  }

  void set_integer(const std::string& name, std::string_view value, int most, int& target) {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_whole = error == std::errc() && end == value.data() + value.size();
    if (is_whole && number >= 1 && number <= most) {
      target = number;
    } else {
      faults_.add(place_, fmt::format("{}={}", name, in_quotes(value)),
                  fmt::format("a whole number from 1 to {}", most));
    }
  }

  void set_memory(const std::string& name, std::string_view value) {
    const auto memory = positive(name, value, parse_bytes(value));
    if (!memory) return;
    options_.memory = *memory;
    const Bytes base = machine_.describe(machine_, machine_.defaults).kinds.front().base_memory;
    if (*memory <= base)
      faults_.add(place_, fmt::format("{}={}", name, in_quotes(value)),
                  fmt::format("more than the {} that the framework takes itself", to_text(base)));
  }

  template <class T>
  std::optional<T> positive(const std::string& name, std::string_view value, const Parsed<T>& parsed) {
    const std::string seen = fmt::format("{}={}", name, in_quotes(value));
    if (const auto* problem = std::get_if<std::string>(&parsed)) {
      faults_.add(place_, seen, *problem);
      return std::nullopt;
    }
    const T result = std::get<T>(parsed);
    if (result.value() > 0) return result;
    faults_.add(place_, seen, "more than zero");
    return std::nullopt;
  }

  const detail::Machine& machine_;
  detail::PresetOptions options_;
  std::string place_;
  FaultList& faults_;
  std::set<std::string> seen_;
};

ClusterPreset to_preset(const detail::Machine& machine) {
  const detail::PresetOptions& defaults = machine.defaults;
  return {machine.name,
          machine.summary,
          {fmt::format("nodes=machines joined by a fabric, 1 to {} (default 1)", kMostPresetDevices / defaults.gpus),
           fmt::format("gpus=the first so many devices of each machine, 1 to {} (default {})", machine.gpu_limit(),
                       defaults.gpus),
           fmt::format("fabric=rate of each network card, {} a machine (default {:g}Gbit/s)", machine.network,
                       defaults.fabric.value() / 0.125e9),
           fmt::format("memory=of each device (default {:g}GiB)",
                       static_cast<double>(defaults.memory.value()) / static_cast<double>(std::int64_t{1} << 30))}};
}

}  // namespace

const std::vector<ClusterPreset>& cluster_presets() {
  static const std::vector<ClusterPreset> presets = [] {
    std::vector<ClusterPreset> result;
    for (const detail::Machine& machine : detail::machines()) result.push_back(to_preset(machine));
    return result;
  }();
  return presets;
}

Cluster make_preset_cluster(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string name(text.substr(0, colon));
  const detail::Machine* machine = find_machine(name);
  if (machine == nullptr) {
    std::vector<std::string> names;
    for (const detail::Machine& known : detail::machines()) names.push_back(known.name);
    throw_input_error("cluster " + in_quotes(text), "the preset " + in_quotes(name) + did_you_mean(name, names),
                      fmt::format("a file, or one of {}", fmt::join(names, ", ")));
  }
  FaultList faults;
  OptionReader reader(*machine, text, faults);
  if (colon != std::string_view::npos) {
    std::string_view rest = text.substr(colon + 1);
    for (bool is_last = false; !is_last;) {
      const std::size_t comma = rest.find(',');
      is_last = comma == std::string_view::npos;
      reader.read(rest.substr(0, comma));
      if (!is_last) rest.remove_prefix(comma + 1);
    }
  }
  if (const auto& chosen = reader.options(); chosen.nodes > kMostPresetDevices / chosen.gpus)
    faults.add(reader.place(), fmt::format("nodes={} of {} devices", chosen.nodes, chosen.gpus),
               fmt::format("at most {} devices in all", kMostPresetDevices));
  faults.throw_if_any();
  Cluster::Description description = machine->describe(*machine, reader.options());
  description.name = std::string(text);
  return Cluster::build(std::move(description), reader.place());
}

}  // namespace gabra
