// SPDX-License-Identifier: MIT
#include "gabra/calibration/table_fit.hpp"

#include "communication_fit.hpp"
#include "fit_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace gabra {
namespace {

constexpr double kPoorLayers = 0.5;  // single layers by a few figures per class

bool is_same_network(const LayerTable& a, const LayerTable& b) {
  return std::equal(a.times.begin(), a.times.end(), b.times.begin(), b.times.end(),
                    [](const LayerTable::Times& x, const LayerTable::Times& y) {
                      return x.layer == y.layer && x.description == y.description;
                    });
}

/// The first layer of `table` whose name `known` has too; null where there is none.
const LayerTable::Times* find_common(const LayerTable& known, const LayerTable& table) {
  for (const LayerTable::Times& times : table.times)
    if (std::any_of(known.times.begin(), known.times.end(),
                    [&](const LayerTable::Times& other) { return other.layer == times.layer; }))
      return &times;
  return nullptr;
}

/// "Dropout (2), View": the kinds of layers that no rule covers.
std::string list_of(const std::map<std::string, LayerTable::Unknown>& unknown) {
  std::string text;
  for (const auto& [kind, count] : unknown)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", kind,
                        count.layers > 1 ? fmt::format(" ({})", count.layers) : "");
  return text;
}

/// What the layers of `table` say beside their figures.
std::string note_of(const LayerTable& table) {
  std::size_t left_out = 0;
  Seconds unknown, all;
  for (const auto& [kind, count] : table.unknown) {
    left_out += count.layers;
    unknown += count.seconds;
  }
  for (const LayerTable::Times& times : table.times) all += times.sample.forward + times.sample.backward;
  std::string text = fmt::format("{}: {} layers at a batch of {}", table.name, table.times.size(), table.batch);
  if (left_out > 0)
    text += fmt::format(
        "; no rule says what work {} of them are, {:.1f} % of the time, so efficiencies are fitted "
        "without {}",
        left_out, all.value() > 0.0 ? 100.0 * (unknown / all) : 0.0, list_of(table.unknown));
  return text;
}

}  // namespace

struct TableFitter::State {
  State(const Cluster& base, TableOptions given)
      : options(std::move(given)), description(base.description()), communication(base) {}

  /// The kinds that the layers' device may stand for: the chosen one and those of the same peaks.
  [[nodiscard]] std::vector<DeviceKind*> kinds_of_layers() {
    const auto chosen = std::find_if(description.kinds.begin(), description.kinds.end(),
                                     [this](const DeviceKind& kind) { return kind.name == options.device_kind; });
    const DeviceKind& kind = chosen == description.kinds.end() ? description.kinds.front() : *chosen;
    std::vector<DeviceKind*> kinds;
    for (DeviceKind& other : description.kinds)
      if (other.peak_float32 == kind.peak_float32 && other.memory_bandwidth == kind.memory_bandwidth)
        kinds.push_back(&other);
    return kinds;
  }

  void name_kinds(const std::vector<DeviceKind*>& kinds) {
    std::string taken, others;
    for (const DeviceKind& kind : description.kinds) {
      const bool is_taken = std::find(kinds.begin(), kinds.end(), &kind) != kinds.end();
      std::string& list = is_taken ? taken : others;
      list += (list.empty() ? "" : ", ") + kind.name;
    }
    if (others.empty())
      report.notes.push_back("layers are taken for those of " + taken);
    else
      report.warnings.push_back(
          fmt::format("layers were measured on one kind of device: taken for {}, nothing changes for {}; --device-kind "
                      "says of which",
                      taken, others));
  }

  void fit_layers(Profile& profile) {
    const std::vector<DeviceKind*> kinds = kinds_of_layers();
    name_kinds(kinds);
    for (const LayerTable& table : layers) report.notes.push_back(note_of(table));
    std::map<std::string, std::vector<LayerSample>> samples;
    std::vector<LayerWork> work;
    for (const LayerTable& table : layers) {
      for (const LayerTable::Times& times : table.times) samples[times.layer].push_back(times.sample);
      work.insert(work.end(), table.work.begin(), table.work.end());
    }
    for (auto& [layer, of_layer] : samples) {
      std::sort(of_layer.begin(), of_layer.end(),
                [](const LayerSample& a, const LayerSample& b) { return a.micro_batch < b.micro_batch; });
      if (options.wants_profile)
        for (const DeviceKind* kind : kinds) profile.add(kind->name, layer, of_layer);
    }
    if (work.empty())
      report.warnings.emplace_back("no rule says what work any of the layers is: efficiencies stay");
    else
      fit_efficiencies(work, kinds);
  }

  void fit_efficiencies(const std::vector<LayerWork>& work, const std::vector<DeviceKind*>& kinds) {
    const DeviceFit fit = fit_device(work);
    for (std::size_t c = 0; c < kComputeClassCount; ++c) {
      if (fit.by_class[c].samples == 0) continue;
      const bool has_flops = std::any_of(work.begin(), work.end(), [c](const LayerWork& layer) {
        return static_cast<std::size_t>(layer.compute_class) == c && layer.flops.value() > 0.0;
      });
      for (DeviceKind* kind : kinds) {
        // Shares of the peaks that the cluster states.
        Efficiency& efficiency = kind->efficiency[c];
        efficiency.bandwidth = fit.efficiency[c].bandwidth * (fit.bandwidth / kind->memory_bandwidth);
        if (!has_flops) continue;  // what moves data only says nothing of arithmetic
        efficiency.flops = fit.efficiency[c].flops * (fit.peak / kind->peak_float32);
        efficiency.half_rows = fit.efficiency[c].half_rows;
      }
      const Efficiency& reached = kinds.front()->efficiency[c];
      report.add({fmt::format("layers, {}", kComputeClassNames[c]),
                  (has_flops ? fmt::format("{:.2f} of the flops, ", reached.flops) : "") +
                      fmt::format("{:.2f} of the bandwidth", reached.bandwidth),
                  fit.by_class[c], kPoorLayers});
    }
    for (DeviceKind* kind : kinds) {
      kind->is_calibrated = true;
      kind->source += (kind->source.empty() ? "" : "; ") + ("efficiencies by " + source());
    }
  }

  [[nodiscard]] std::string source() const { return "gabra calibrate --from-table " + options.sources; }

  TableOptions options;
  Cluster::Description description;
  detail::CommunicationFitter communication;
  std::vector<LayerTable> layers;
  detail::FitReport report;
};

TableFitter::TableFitter(const Cluster& base, TableOptions options)
    : state_(std::make_unique<State>(base, std::move(options))) {}
TableFitter::~TableFitter() = default;

void TableFitter::add(const CommunicationTable& table, FaultList& faults) { state_->communication.add(table, faults); }

void TableFitter::add(const LayerTable& table, FaultList& faults) {
  for (const LayerTable& known : state_->layers) {
    const LayerTable::Times* common = find_common(known, table);
    if (!state_->options.wants_profile || common == nullptr) continue;
    if (!is_same_network(known, table)) {
      faults.add(table.name,
                 fmt::format("the layer {}, which {} has too, of another network", common->layer, known.name),
                 "one network with --profile, since a profile finds layers by name; without it any number");
      return;
    }
    if (known.batch == table.batch) {
      faults.add(table.name, fmt::format("layers at a batch of {}, which {} has too", table.batch, known.name),
                 "each batch once");
      return;
    }
  }
  state_->layers.push_back(table);
}

MachineFit TableFitter::fit() {
  State& state = *state_;
  Profile profile;
  if (!state.communication.empty()) state.communication.fit(state.description, state.source(), state.report);
  if (!state.layers.empty()) state.fit_layers(profile);
  return {.cluster = Cluster::build(state.description, "--cluster"),
          .profile = std::move(profile),
          .models = std::move(state.report.models),
          .notes = std::move(state.report.notes),
          .warnings = std::move(state.report.warnings)};
}

}  // namespace gabra
