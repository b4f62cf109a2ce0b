// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/plan/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

// The text form of stages: "0-7@0,1 8-15@2/always".

namespace gabra {
namespace {

constexpr const char* kPlace = "--stages";
constexpr const char* kAllowedStage = "UNITS@DEVICES, for example \"0-7@0,1 8-15@2\"";

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::int32_t> whole_number(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

class StagesReader {
 public:
  StagesReader(const Network& network, const Cluster& cluster) : network_(network), cluster_(cluster) {}

  std::vector<Stage> read(std::string_view text) {
    std::vector<Stage> stages;
    for (const std::string_view part : split(text, ' '))
      if (!part.empty()) stages.push_back(read_stage(part));
    if (stages.empty()) faults_.add(kPlace, in_quotes(text), kAllowedStage);
    faults_.throw_if_any();
    return stages;
  }

 private:
  Stage read_stage(std::string_view text) {
    Stage stage;
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos) {
      faults_.add(kPlace, in_quotes(text), kAllowedStage);
      return stage;
    }
    read_units(text.substr(0, at), stage);
    std::string_view devices = text.substr(at + 1);
    // Device names may have slashes; only a known word after the last one is about recomputation.
    if (const std::size_t slash = devices.rfind('/'); slash != std::string_view::npos) {
      for (const Recompute recompute : {Recompute::Never, Recompute::Always, Recompute::ExceptLast})
        if (devices.substr(slash + 1) == to_text(recompute)) {
          stage.recompute = recompute;
          devices = devices.substr(0, slash);
          break;
        }
    }
    for (const std::string_view device : split(devices, ',')) read_device(device, stage);
    return stage;
  }

  void read_units(std::string_view text, Stage& stage) {
    const std::size_t dash = text.find('-');
    const auto first = whole_number(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_number(text.substr(dash + 1));
    const auto count = static_cast<std::int32_t>(network_.unit_count());
    if (!first || !last || *first > *last || *last >= count) {
      faults_.add(kPlace, "units " + in_quotes(text),
                  fmt::format("FIRST-LAST or one unit, from 0 to {}, the network's last unit", count - 1));
      return;
    }
    stage.first_unit = *first;
    stage.end_unit = *last + 1;
  }

  void read_device(std::string_view text, Stage& stage) {
    for (std::size_t i = 0; i < cluster_.device_count(); ++i)
      if (cluster_.device(DeviceId(i)).name == text) {
        stage.devices.emplace_back(i);
        return;
      }
    const auto number = whole_number(text);
    if (number && static_cast<std::size_t>(*number) < cluster_.device_count()) {
      stage.devices.emplace_back(static_cast<std::size_t>(*number));
      return;
    }
    std::vector<std::string> names;
    for (const Device& device : cluster_.description().devices) names.push_back(device.name);
    faults_.add(kPlace, "device " + in_quotes(text) + did_you_mean(text, names),
                fmt::format("a number from 0 to {}, or a name of the cluster {} such as {}",
                            cluster_.device_count() - 1, in_quotes(cluster_.name()), in_quotes(names.front())));
  }

  const Network& network_;
  const Cluster& cluster_;
  FaultList faults_;
};

}  // namespace

std::vector<Stage> parse_stages(std::string_view text, const Network& network, const Cluster& cluster) {
  return StagesReader(network, cluster).read(text);
}

std::string to_text(const std::vector<Stage>& stages) {
  std::string text;
  for (const Stage& stage : stages) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}", stage.first_unit);
    if (stage.end_unit > stage.first_unit + 1) text += fmt::format("-{}", stage.end_unit - 1);
    char separator = '@';
    for (const DeviceId device : stage.devices) {
      text += fmt::format("{}{}", separator, device.value());
      separator = ',';
    }
    if (stage.recompute != Recompute::Never) text += fmt::format("/{}", to_text(stage.recompute));
  }
  return text;
}

}  // namespace gabra
