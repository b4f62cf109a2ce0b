// SPDX-License-Identifier: MIT
#include "text.hpp"

#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace gabra::cli {

std::string with_commas(std::int64_t number) {
  const std::string digits = fmt::format("{}", number);
  const std::size_t first = number < 0 ? 1 : 0;
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string percent(double fraction) { return fmt::format("{:.1f} %", 100.0 * fraction); }

std::string samples_name(const Network& network) {
  for (const Layer& layer : network.layers())
    if (const auto* input = std::get_if<Input>(&layer.attributes)) {
      if (input->is_token_ids) return "sequences";
      if (input->shape.size() == 4) return "volumes";
      if (input->shape.size() == 3) return "images";
    }
  return "samples";
}

std::string names_of(std::span<const DeviceId> devices, const Cluster& cluster) {
  constexpr std::size_t kMost = 8;
  std::string text;
  if (devices.size() > kMost) {
    bool are_consecutive = true;
    for (std::size_t i = 1; i < devices.size(); ++i)
      are_consecutive = are_consecutive && devices[i].value() == devices[i - 1].value() + 1;
    if (are_consecutive)
      return fmt::format("{} ... {}", cluster.device(devices.front()).name, cluster.device(devices.back()).name);
  }
  for (const DeviceId device : devices)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", cluster.device(device).name);
  return text;
}

std::string problem_line(const Problem& problem) {
  const TrainingSettings& training = problem.training;
  std::string text = fmt::format("{} on {} ({} devices), global batch {}, {}, {}", problem.network->name(),
                                 problem.cluster->name(), problem.cluster->device_count(), training.global_batch,
                                 to_text(training.precision), to_text(training.optimizer));
  if (training.gradient_sum == GradientSum::Wide)
    text += fmt::format(", gradients summed in {}", training.precision == Precision::Float32 ? "float64" : "float32");
  if (training.clip_norm) text += fmt::format(", gradient clipped to {:g}", *training.clip_norm);
  return text + '\n';
}

std::string plan_table(const Problem& problem, const Plan& plan) {
  std::string text =
      fmt::format("  {} {}, schedule {}, {} micro-batch{} of {}, all-reduce buckets of {}\n", plan.stages.size(),
                  plan.stages.size() == 1 ? "stage" : "stages", to_text(plan.schedule), plan.micro_batches,
                  plan.micro_batches == 1 ? "" : "es", problem.training.global_batch / plan.micro_batches,
                  fmt::format("{:.4g} MB", static_cast<double>(plan.bucket.value()) / 1e6));
  Table table({{"stage"},
               {"units", Table::Align::Right},
               {"from"},
               {"to"},
               {"parameters", Table::Align::Right},
               {"replicas", Table::Align::Right},
               {"recompute"},
               {"devices"}});
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    std::int64_t parameters = 0;
    for (std::int32_t unit = stage.first_unit; unit < stage.end_unit; ++unit)
      parameters += problem.network->unit_costs()[static_cast<std::size_t>(unit)].parameters;
    const auto units = problem.network->units();
    table.add_row({std::to_string(i), fmt::format("{}-{}", stage.first_unit, stage.end_unit - 1),
                   units[static_cast<std::size_t>(stage.first_unit)].name,
                   units[static_cast<std::size_t>(stage.end_unit) - 1].name, with_commas(parameters),
                   std::to_string(stage.devices.size()), std::string(to_text(stage.recompute)),
                   names_of(stage.devices, *problem.cluster)});
  }
  return text + table.to_text();
}

std::string device_table(const Problem& problem, const StepReport& report) {
  Table table({{"device"},
               {"compute", Table::Align::Right},
               {"exposed communication", Table::Align::Right},
               {"bubble", Table::Align::Right},
               {"peak memory", Table::Align::Right},
               {"of", Table::Align::Right},
               {"energy", Table::Align::Right}});
  for (const DeviceReport& device : report.devices)
    table.add_row(
        {problem.cluster->device(device.device).name, to_text(device.compute), to_text(device.exposed_communication),
         fmt::format("{} ({})", to_text(device.bubble), percent(device.bubble / report.step)),
         to_text(device.peak_memory), to_text(problem.cluster->kind_of(device.device).memory), to_text(device.energy)});
  return table.to_text();
}

std::string breakdown_text(const MemoryBreakdown& breakdown) {
  std::vector<std::size_t> order(kMemoryCategoryCount);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return breakdown[a] > breakdown[b]; });
  std::string text;
  for (const std::size_t i : order)
    if (breakdown[i].value() > 0) {
      std::string name(kMemoryCategoryNames[i]);
      std::replace(name.begin(), name.end(), '_', ' ');
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, to_text(breakdown[i]));
    }
  return text;
}

std::string infeasible_text(const Infeasible& reason, const Cluster& cluster) {
  if (reason.reason != Infeasible::Reason::Memory) return reason.message;
  return fmt::format("device {} needs {}, has {}: {} too much ({})", cluster.device(reason.device).name,
                     to_text(reason.required), to_text(reason.available), to_text(reason.excess()),
                     breakdown_text(reason.breakdown));
}

std::vector<std::string> uncalibrated_kinds(const Cluster& cluster) {
  std::vector<std::string> names;
  for (const DeviceKind& kind : cluster.description().kinds)
    if (!kind.is_calibrated) names.push_back(kind.name);
  return names;
}

std::string calibration_note(const Cluster& cluster) {
  const std::vector<std::string> names = uncalibrated_kinds(cluster);
  if (names.empty()) return "";
  return fmt::format("never calibrated on hardware: {}; gabra describe cluster shows where its figures come from",
                     fmt::join(names, ", "));
}

std::vector<std::string> notes_on(const Problem& problem, std::int64_t micro_batch) {
  std::vector<std::string> notes;
  if (const std::string note = calibration_note(*problem.cluster); !note.empty()) notes.push_back(note);
  if (problem.profile == nullptr) return notes;
  std::size_t measured = 0;
  std::size_t layers = 0;
  for (const DeviceKind& kind : problem.cluster->description().kinds)
    for (const Layer& layer : problem.network->layers()) {
      if (std::holds_alternative<Input>(layer.attributes)) continue;
      ++layers;
      if (problem.profile->at(kind.name, layer.name, micro_batch)) ++measured;
    }
  if (measured < layers)
    notes.push_back(
        fmt::format("the profile has {} of {} layers; the others take the device's model", measured, layers));
  const MeasuredWith own{std::string(to_text(problem.training.precision)),
                         std::string(to_text(problem.training.gradient_sum))};
  if (const auto& settings = problem.profile->measured_with(); settings && *settings != own)
    notes.push_back(fmt::format(
        "the profile was measured in {} with {} gradient sums, this is {} with {} ones: its times are of other work",
        settings->precision, settings->gradient_sum, own.precision, own.gradient_sum));
  if (problem.profile->is_extrapolated(micro_batch))
    notes.push_back(fmt::format("times of micro-batches of {} are extrapolated from the profile", micro_batch));
  return notes;
}

std::string to_lines(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes) text += "Note: " + note + '\n';
  return text;
}

bool has_batch_norm(const Network& network) {
  const auto costs = network.unit_costs();
  return std::any_of(costs.begin(), costs.end(), [](const UnitCosts& unit) { return unit.has_batch_norm; });
}

}  // namespace gabra::cli
