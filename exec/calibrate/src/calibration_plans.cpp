// SPDX-License-Identifier: MIT
#include "calibration_plans.hpp"

#include "gabra/exec/device_names.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace gabra::exec {
namespace {

std::vector<DeviceId> first_devices(std::size_t count) {
  std::vector<DeviceId> devices;
  for (std::size_t d = 0; d < count; ++d) devices.emplace_back(d);
  return devices;
}

constexpr std::int64_t kBuckets = 4;
constexpr std::int64_t kUnits = 3;  // of each device's micro-batches the last backward runs beside all-reduces

/// Of such a size that there are about `count`.
Bytes bucket_of(const Network& network, const TrainingSettings& training, std::int64_t count) {
  const std::int64_t bytes = network.parameters() * parameter_bytes(training).gradient;
  return Bytes(std::max<std::int64_t>(1, (bytes + count - 1) / count));
}

/// Two stages of about as many operations, on the first two devices.
CalibrationPlan make_pipeline(const CalibrateJob& job, const std::shared_ptr<const Cluster>& machine,
                              std::int64_t micro_batch) {
  constexpr std::int64_t kMicroBatches = 4;
  CalibrationPlan result{CalibrationRole::Pipeline, micro_batch, {job.network, machine, nullptr, job.training}, {}};
  result.plan.micro_batches = kMicroBatches;
  result.problem.training.global_batch = kMicroBatches * micro_batch;
  double all = 0.0, sum = 0.0;
  for (const UnitCosts& costs : job.network->unit_costs()) all += costs.forward_flops.value();
  const auto units = static_cast<std::int32_t>(job.network->unit_count());
  std::int32_t cut = 0;
  while (cut + 1 < units - 1 && sum < all / 2.0) {
    sum += job.network->unit_costs()[static_cast<std::size_t>(cut)].forward_flops.value();
    ++cut;
  }
  cut = std::max(cut, 1);
  result.plan.stages = {{.first_unit = 0, .end_unit = cut, .devices = {DeviceId(0)}},
                        {.first_unit = cut, .end_unit = units, .devices = {DeviceId(1)}}};
  return result;
}

/// `per_device` micro-batches for each device.
CalibrationPlan make(const CalibrateJob& job, std::shared_ptr<const Network> network,
                     const std::shared_ptr<const Cluster>& machine, CalibrationRole role, std::int64_t micro_batch,
                     std::int64_t per_device) {
  const bool is_one_bucket = role == CalibrationRole::OneBucket;
  const bool is_together = role == CalibrationRole::UnitsTogether || role == CalibrationRole::WholeTogether ||
                           role == CalibrationRole::LayersTogether || is_one_bucket;
  const bool is_whole = role == CalibrationRole::WholeTogether || role == CalibrationRole::WholeAlone || is_one_bucket;
  const std::vector<DeviceId> devices = first_devices(is_together ? machine->device_count() : 1);
  CalibrationPlan result{role, micro_batch, {std::move(network), machine, nullptr, job.training}, {}};
  result.plan.micro_batches = per_device * static_cast<std::int64_t>(devices.size());
  result.problem.training.global_batch = result.plan.micro_batches * micro_batch;
  const auto units = static_cast<std::int32_t>(result.problem.network->unit_count());
  if (is_whole) result.plan.bucket = bucket_of(*result.problem.network, job.training, is_one_bucket ? 1 : kBuckets);
  const std::int32_t step = is_whole ? units : 1;
  for (std::int32_t unit = 0; unit < units; unit += step)
    result.plan.stages.push_back({.first_unit = unit, .end_unit = unit + step, .devices = devices});
  return result;
}

}  // namespace

std::shared_ptr<const Cluster> unknown_machine(const CalibrateJob& job, const std::vector<int>& nodes) {
  Cluster::Description description;
  description.name = "a machine to calibrate";
  DeviceKind kind;
  kind.name = "a device to calibrate";
  kind.peak_float32 = kind.peak_bfloat16 = FlopsPerSecond(1e11);
  kind.memory_bandwidth = BytesPerSecond(1e10);
  kind.memory = Bytes(std::numeric_limits<std::int64_t>::max() / 4);
  description.kinds.push_back(kind);
  for (std::size_t d = 0; d < nodes.size(); ++d)
    description.devices.push_back({.name = device_name(job.hardware, d), .kind = DeviceKindId(0), .node = nodes[d]});
  for (std::size_t from = 0; from < nodes.size(); ++from)
    for (std::size_t to = 0; to < nodes.size(); ++to) {
      if (from == to) continue;
      Link link;
      link.name = device_name(job.hardware, from) + "->" + device_name(job.hardware, to);
      link.from = VertexId(from);
      link.to = VertexId(to);
      link.bandwidth = BytesPerSecond(5e9);
      description.links.push_back(std::move(link));
    }
  return std::make_shared<const Cluster>(Cluster::build(std::move(description), "--devices"));
}

std::shared_ptr<const Network> by_layer(const Network& network) {
  std::vector<LayerSpec> specs;
  std::vector<std::string> ends;
  for (const Layer& layer : network.layers()) {
    LayerSpec spec{layer.name, layer.attributes, {}};
    for (const LayerId input : layer.inputs) spec.inputs.push_back(network.layer(input).name);
    if (!std::holds_alternative<Input>(layer.attributes)) ends.push_back(layer.name);
    specs.push_back(std::move(spec));
  }
  return std::make_shared<const Network>(Network::build(network.name(), std::move(specs), "--network", ends));
}

std::vector<CalibrationPlan> repeated_plans(const CalibrateJob& job, const std::shared_ptr<const Cluster>& machine) {
  // The first backward of a step writes gradients where the others add to them (up to a third longer for large layers),
  // the last one runs beside all-reduces: most passes are to be neither.
  constexpr std::int64_t kWhole = 4;
  constexpr std::int64_t kUnitsAlone = 2;
  std::vector<CalibrationPlan> plans;
  for (const std::int64_t size : job.micro_batches) {
    if (machine->device_count() > 1) {
      plans.push_back(make(job, job.network, machine, CalibrationRole::WholeTogether, size, kWhole));
      plans.push_back(make(job, job.network, machine, CalibrationRole::UnitsTogether, size, kUnits));
      if (job.network->unit_count() > 1) plans.push_back(make_pipeline(job, machine, size));
      if (size == job.micro_batches.front())
        plans.push_back(make(job, job.network, machine, CalibrationRole::OneBucket, size, 1));
    }
    plans.push_back(make(job, job.network, machine, CalibrationRole::WholeAlone, size, kWhole));
    plans.push_back(make(job, job.network, machine, CalibrationRole::UnitsAlone, size, kUnitsAlone));
  }
  return plans;
}

std::vector<CalibrationPlan> layers_plans(const CalibrateJob& job, const std::shared_ptr<const Cluster>& machine) {
  constexpr std::int64_t kAlone = 2;
  const std::shared_ptr<const Network> network = by_layer(*job.network);
  std::vector<CalibrationPlan> plans;
  for (const std::int64_t size : job.micro_batches) {
    if (machine->device_count() > 1)
      plans.push_back(make(job, network, machine, CalibrationRole::LayersTogether, size, kUnits));
    plans.push_back(make(job, network, machine, CalibrationRole::LayersAlone, size, kAlone));
  }
  return plans;
}

}  // namespace gabra::exec
