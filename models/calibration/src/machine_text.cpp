// SPDX-License-Identifier: MIT
#include "gabra/calibration/machine.hpp"
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra {

std::string to_text(const MachineFit& fit) {
  std::size_t width = 5;
  std::size_t middle = 6;
  for (const ModelQuality& model : fit.models) {
    width = std::max(width, model.model.size());
    middle = std::max(middle, model.result.size());
  }
  std::string text = fmt::format("  {:<{}}  {:<{}}  quality\n", "model", width, "result", middle);
  text += fmt::format("  {:-<{}}  {:-<{}}  {:-<7}\n", "", width, "", middle, "");
  for (const ModelQuality& model : fit.models)
    text += fmt::format("  {:<{}}  {:<{}}  {}\n", model.model, width, model.result, middle, to_text(model.quality));
  text += "\n";
  for (const std::string& note : fit.notes) text += "Note: " + note + "\n";
  for (const std::string& warning : fit.warnings) text += "Warning: " + warning + "\n";
  return text;
}

std::string to_json_text(const MachineFit& fit, const std::optional<CalibrationEffort>& effort) {
  json::Value models = json::Value::array();
  for (const ModelQuality& model : fit.models)
    models.push_back({{"model", model.model},
                      {"result", model.result},
                      {"samples", model.quality.samples},
                      {"median_error", model.quality.median_error},
                      {"p95_error", model.quality.p95_error}});
  json::Value messages = json::Value::array();
  for (const auto& [pair, samples] : fit.transfers)
    for (const TransferSample& sample : samples)
      messages.push_back({{"from", pair.first},
                          {"to", pair.second},
                          {"bytes", sample.bytes.value()},
                          {"seconds", sample.seconds.value()}});
  json::Value all_reduces = json::Value::array();
  for (const AllReduceSample& sample : fit.all_reduces)
    all_reduces.push_back(
        {{"devices", sample.devices}, {"bytes", sample.bytes.value()}, {"seconds", sample.seconds.value()}});
  const DeviceKind& kind = fit.cluster.kind(DeviceKindId(0));
  json::Value document{{"schema", "gabra/calibration/1"},
                       {"command", "calibrate"},
                       {"cluster", fit.cluster.name()},
                       {"device_kind", kind.name},
                       {"neighbour_slowdown", kind.neighbour_slowdown},
                       {"communication_slowdown", kind.communication_slowdown},
                       {"instruction_overhead_s", kind.instruction_overhead.value()},
                       {"step_overhead_s", kind.step_overhead.value()},
                       {"base_memory_bytes", kind.base_memory.value()},
                       {"update_bandwidth", kind.update_bandwidth.value()},
                       {"messages", std::move(messages)},
                       {"all_reduces", std::move(all_reduces)},
                       {"models", std::move(models)},
                       {"notes", fit.notes},
                       {"warnings", fit.warnings}};
  if (effort) {
    document["elapsed_s"] = effort->elapsed_s;
    document["steps"] = effort->steps;
    document["rounds"] = effort->rounds;
    document["uncertainty"] = effort->uncertainty;
  }
  return document.dump(2, ' ', false, json::Value::error_handler_t::replace) + "\n";
}

}  // namespace gabra
