// SPDX-License-Identifier: MIT
#include "report_value.hpp"

namespace gabra {
namespace {

const std::vector<std::string> kReasons{"structure", "memory", "failed"};
constexpr json::IntegerRange kIndex{0, 1 << 30};
constexpr json::NumberRange kSize{0.0, 1e300};

DeviceReport read_device(const json::Value& value, const json::Place& place, FaultList& faults) {
  json::ObjectReader reader(value, place, faults);
  DeviceReport device;
  device.device = DeviceId(static_cast<std::int32_t>(reader.integer("device", kIndex)));
  device.compute = Seconds(reader.number("compute_s", kSize));
  device.exposed_communication = Seconds(reader.number("exposed_communication_s", kSize));
  device.bubble = Seconds(reader.number("bubble_s", kSize));
  device.peak_memory = Bytes(reader.integer("peak_memory_bytes", json::kNonNegative));
  device.energy = Joules(reader.number("energy_j", kSize));
  reader.finish();
  return device;
}

LinkReport read_link(const json::Value& value, const json::Place& place, FaultList& faults) {
  json::ObjectReader reader(value, place, faults);
  LinkReport link;
  link.link = LinkId(static_cast<std::int32_t>(reader.integer("link", kIndex)));
  link.bytes = reader.number("bytes", kSize);
  link.busy = Seconds(reader.number("busy_s", kSize));
  reader.finish();
  return link;
}

}  // namespace

json::Value to_value(const StepReport& report) {
  json::Value value{{"step_time_s", report.step.value()},
                    {"samples_per_s", report.samples_per_second},
                    {"bubble_fraction", report.bubble_fraction},
                    {"exposed_communication_s", report.exposed_communication.value()},
                    {"peak_memory_bytes", report.peak_memory.value()},
                    {"energy_j", report.energy.value()}};
  json::Value devices = json::Value::array();
  for (const DeviceReport& device : report.devices)
    devices.push_back({{"device", device.device.value()},
                       {"compute_s", device.compute.value()},
                       {"exposed_communication_s", device.exposed_communication.value()},
                       {"bubble_s", device.bubble.value()},
                       {"peak_memory_bytes", device.peak_memory.value()},
                       {"energy_j", device.energy.value()}});
  value["devices"] = std::move(devices);
  json::Value links = json::Value::array();
  for (const LinkReport& link : report.links)
    links.push_back({{"link", link.link.value()}, {"bytes", link.bytes}, {"busy_s", link.busy.value()}});
  value["links"] = std::move(links);
  return value;
}

StepReport read_report(const json::Value& value, const json::Place& place, FaultList& faults) {
  json::ObjectReader reader(value, place, faults);
  StepReport report;
  report.step = Seconds(reader.number("step_time_s", kSize));
  report.samples_per_second = reader.number("samples_per_s", kSize);
  report.bubble_fraction = reader.number("bubble_fraction", kSize);
  report.exposed_communication = Seconds(reader.number("exposed_communication_s", kSize));
  report.peak_memory = Bytes(reader.integer("peak_memory_bytes", json::kNonNegative));
  report.energy = Joules(reader.number("energy_j", kSize));
  reader.list("devices", [&](const json::Value& item, const json::Place& at) {
    report.devices.push_back(read_device(item, at, faults));
  });
  reader.list("links", [&](const json::Value& item, const json::Place& at) {
    report.links.push_back(read_link(item, at, faults));
  });
  reader.finish();
  return report;
}

json::Value to_value(const Infeasible& reason) {
  json::Value value{{"reason", kReasons[static_cast<std::size_t>(reason.reason)]}, {"message", reason.message}};
  if (reason.reason != Infeasible::Reason::Memory) return value;
  value["device"] = reason.device.value();
  value["required_bytes"] = reason.required.value();
  value["available_bytes"] = reason.available.value();
  json::Value breakdown = json::Value::array();
  for (const Bytes bytes : reason.breakdown) breakdown.push_back(bytes.value());
  value["breakdown_bytes"] = std::move(breakdown);
  return value;
}

Infeasible read_infeasible(json::ObjectReader& object) {
  Infeasible reason;
  reason.reason = static_cast<Infeasible::Reason>(object.choice("reason", kReasons));
  reason.message = object.text("message");
  if (reason.reason != Infeasible::Reason::Memory) return reason;
  reason.device = DeviceId(static_cast<std::int32_t>(object.integer("device", kIndex)));
  reason.required = Bytes(object.integer("required_bytes", json::kNonNegative));
  reason.available = Bytes(object.integer("available_bytes", json::kNonNegative));
  const std::vector<std::int64_t> parts = object.integers("breakdown_bytes");
  for (std::size_t i = 0; i < std::min(parts.size(), reason.breakdown.size()); ++i)
    reason.breakdown[i] = Bytes(parts[i]);
  return reason;
}

}  // namespace gabra
