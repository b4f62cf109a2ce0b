// SPDX-License-Identifier: MIT
#include "report_json.hpp"

#include "text.hpp"

namespace gabra::cli {

using json::Value;

void add_report_sums(Value& document, const StepReport& report) {
  document["step_time_s"] = report.step.value();
  document["samples_per_s"] = report.samples_per_second;
  document["bubble_fraction"] = report.bubble_fraction;
  document["exposed_communication_s"] = report.exposed_communication.value();
  document["peak_memory_bytes"] = report.peak_memory.value();
  document["energy_j"] = report.energy.value();
}

void add_report(Value& document, const Problem& problem, const StepReport& report) {
  add_report_sums(document, report);
  Value devices = Value::array();
  for (const DeviceReport& device : report.devices)
    devices.push_back({{"device", problem.cluster->device(device.device).name},
                       {"compute_s", device.compute.value()},
                       {"exposed_communication_s", device.exposed_communication.value()},
                       {"bubble_s", device.bubble.value()},
                       {"peak_memory_bytes", device.peak_memory.value()},
                       {"energy_j", device.energy.value()}});
  document["devices"] = std::move(devices);
  Value links = Value::array();
  for (const LinkReport& link : report.links)
    links.push_back(
        {{"link", problem.cluster->link(link.link).name}, {"bytes", link.bytes}, {"busy_s", link.busy.value()}});
  document["links"] = std::move(links);
}

void add_speedup(Value& document, const Problem& problem, Seconds step, std::optional<Seconds> one_device) {
  document["speedup"] = nullptr;
  document["efficiency"] = nullptr;
  if (!one_device) return;
  document["speedup"] = *one_device / step;
  document["efficiency"] = *one_device / step / static_cast<double>(problem.cluster->device_count());
}

void add_plan(Value& document, const Problem& problem, const Plan& plan) {
  document["micro_batches"] = plan.micro_batches;
  document["micro_batch"] = problem.training.global_batch / plan.micro_batches;
  document["schedule"] = to_text(plan.schedule);
  document["bucket_bytes"] = plan.bucket.value();
  Value stages = Value::array();
  for (const Stage& stage : plan.stages) {
    Value devices = Value::array();
    for (const DeviceId device : stage.devices) devices.push_back(problem.cluster->device(device).name);
    stages.push_back({{"first_unit", stage.first_unit},
                      {"last_unit", stage.end_unit - 1},
                      {"devices", std::move(devices)},
                      {"recompute", to_text(stage.recompute)}});
  }
  document["stages"] = std::move(stages);
}

void add_problem(Value& document, const Problem& problem) {
  const TrainingSettings& training = problem.training;
  document["network"] = problem.network->name();
  document["cluster"] = problem.cluster->name();
  document["device_count"] = problem.cluster->device_count();
  document["global_batch"] = training.global_batch;
  document["precision"] = to_text(training.precision);
  document["optimizer"] = to_text(training.optimizer);
  if (training.clip_norm) document["clip_norm"] = *training.clip_norm;
  document["gradient_sum"] = to_text(training.gradient_sum);
  document["is_calibrated"] = problem.cluster->is_calibrated();
  document["uncalibrated_device_kinds"] = uncalibrated_kinds(*problem.cluster);
}

Value to_value(const Infeasible& reason, const Cluster& cluster) {
  Value value{{"message", infeasible_text(reason, cluster)}};
  if (reason.reason != Infeasible::Reason::Memory) return value;
  value["device"] = cluster.device(reason.device).name;
  value["required_bytes"] = reason.required.value();
  value["available_bytes"] = reason.available.value();
  value["excess_bytes"] = reason.excess().value();
  Value breakdown = Value::object();
  for (std::size_t i = 0; i < kMemoryCategoryCount; ++i)
    breakdown[std::string(kMemoryCategoryNames[i])] = reason.breakdown[i].value();
  value["breakdown_bytes"] = std::move(breakdown);
  return value;
}

std::string to_document_text(const Value& document) {
  return document.dump(1, ' ', false, Value::error_handler_t::replace) + "\n";
}

}  // namespace gabra::cli
