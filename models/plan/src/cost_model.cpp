// SPDX-License-Identifier: MIT
#include "gabra/plan/cost_model.hpp"

#include <algorithm>

namespace gabra {
namespace {

/// Device operations of the loss: log-softmax, negative log-likelihood, and their backwards.
constexpr double kLossKernels = 4.0;
/// Fused optimizer: one operation per step.
constexpr double kUpdateKernels = 1.0;

/// Keeps what may be the largest for some size of micro-batch.
void add_workspace(std::vector<Workspace>& workspaces, Workspace added) {
  const auto covers = [](const Workspace& a, const Workspace& b) {
    return a.per_sample >= b.per_sample && a.fixed >= b.fixed;
  };
  for (const Workspace& one : workspaces)
    if (covers(one, added)) return;
  std::erase_if(workspaces, [&](const Workspace& one) { return covers(added, one); });
  workspaces.push_back(added);
}

/// The arithmetic of attention over tokens is in its products; scale, mask, softmax and rearrangements are operations
/// of their own between them, bound by memory, so the two add up where a single operation would take the longer.
bool is_product_and_softmax(const Layer& layer) { return std::holds_alternative<CausalAttention>(layer.attributes); }

/// Elements per sample by which the buffers of units [first, end) for gradients, which they have during all of their
/// backward, are more than what `unit` needs besides its own: gradients that it receives from after `end` or makes for
/// before `first` are in buffers and in its own count; those received by later units are gone, those made by earlier
/// ones not there yet.
std::int64_t gradients_elsewhere(const Network& network, UnitId unit, std::int32_t first, std::int32_t end) {
  std::int64_t elements = 0;
  for (const UnitTensor& tensor : network.unit_tensors()) {
    if (!tensor.needs_gradient) continue;
    const auto& consumers = tensor.consumers;  // ascending
    const bool is_received = tensor.producer.value() < end && consumers.back().value() >= end;
    if (is_received && tensor.producer.value() >= first && tensor.producer >= unit) elements += tensor.elements;
    if (tensor.producer.value() >= first) continue;
    const auto last = std::find_if(consumers.rbegin(), consumers.rend(), [&](UnitId one) { return one.value() < end; });
    if (last == consumers.rend() || last->value() < first) continue;
    const bool is_own = std::find(consumers.begin(), consumers.end(), unit) != consumers.end();
    if (is_own || *last < unit) elements += tensor.elements;
  }
  return elements;
}

bool is_input(const Layer& layer) { return std::holds_alternative<Input>(layer.attributes); }

struct LayerTimes {
  double forward_launch = 0, forward_roofline = 0, forward_measured = 0;
  double backward_launch = 0, backward_roofline = 0, backward_measured = 0;
};

/// Launches overlap the device within the layer only: its times add up over a span like measured ones.
void join_by_layer(LayerTimes& times) {
  const auto join = [](double& launch, double& roofline) {
    const double joined = soft_maximum(Seconds(launch), Seconds(roofline)).value();
    launch = roofline = 0.0;
    return joined;
  };
  times.forward_measured = join(times.forward_launch, times.forward_roofline);
  times.backward_measured = join(times.backward_launch, times.backward_roofline);
}

LayerTimes times_of(const Layer& layer, const Problem& problem, const DeviceKind& kind, std::int64_t micro_batch) {
  LayerTimes times;
  const LayerCosts& costs = layer.costs;
  const auto samples = static_cast<double>(micro_batch);
  if (problem.profile != nullptr) {
    if (const auto sample = problem.profile->at(kind.name, layer.name, micro_batch)) {
      times.forward_measured = sample->forward.value();
      times.backward_measured = sample->backward.value();
      return times;
    }
  }
  if (costs.measured_forward) {
    times.forward_measured = costs.measured_forward->value() * samples;
    times.backward_measured = costs.measured_backward->value() * samples;
    return times;
  }
  const Precision precision = problem.training.precision;
  const auto element = static_cast<double>(bytes_per_element(precision));
  const auto parameters = static_cast<double>(costs.parameters);
  const auto pass = [&](Flops flops, std::int64_t elements, double parameter_bytes) {
    const double activations = static_cast<double>(elements) * samples * element;
    const double rows = costs.rows * samples;
    const auto time = [&](ComputeClass compute_class, Flops work, double bytes) {
      return roofline(kind, precision, compute_class, work, bytes, rows).value();
    };
    if (is_product_and_softmax(layer))
      return time(costs.compute_class, flops * samples, parameters * parameter_bytes) +
             time(ComputeClass::Normalization, Flops(0.0), activations);
    return time(costs.compute_class, flops * samples, activations + parameters * parameter_bytes);
  };
  times.forward_launch = kind.launch.value() * costs.forward_kernels;
  times.backward_launch = kind.launch.value() * costs.backward_kernels;
  times.forward_roofline = pass(costs.forward_flops, costs.forward_elements, element);
  times.backward_roofline = pass(costs.backward_flops, costs.backward_elements,
                                 static_cast<double>(backward_parameter_bytes(problem.training)));
  if (kind.launch_ahead == LaunchAhead::Layer) join_by_layer(times);
  return times;
}

}  // namespace

CostModel::CostModel(Problem problem) : problem_(std::move(problem)), collectives_(*problem_.cluster) {
  const Network& network = *problem_.network;
  parameter_sums_.push_back(0);
  buffer_sums_.push_back(0);
  for (const UnitCosts& costs : network.unit_costs()) {
    parameter_sums_.push_back(parameter_sums_.back() + costs.parameters);
    buffer_sums_.push_back(buffer_sums_.back() + costs.buffers);
  }
  sizes_.resize((network.unit_count() + 1) * (network.unit_count() + 1));
  for (const Unit& unit : network.units()) {
    InputUse use;
    for (auto i = unit.first.index(); i < unit.end.index(); ++i) {
      const Layer& layer = network.layers()[i];
      for (const LayerId source : layer.inputs) {
        if (!is_input(network.layer(source))) continue;
        use.elements += network.layer(source).costs.output_elements;
        use.is_saved = use.is_saved || layer.costs.saves_input;
      }
    }
    input_uses_.push_back(use);
  }
}

const CostModel::Table& CostModel::table(DeviceKindId kind, std::int64_t micro_batch) {
  const std::pair key(kind, micro_batch);
  if (const auto found = tables_.find(key); found != tables_.end()) return found->second;
  const Network& network = *problem_.network;
  const DeviceKind& device_kind = problem_.cluster->kind(kind);
  Table sums;
  LayerTimes total;
  const auto append = [&] {
    sums.forward_launch.push_back(total.forward_launch);
    sums.forward_roofline.push_back(total.forward_roofline);
    sums.forward_measured.push_back(total.forward_measured);
    sums.backward_launch.push_back(total.backward_launch);
    sums.backward_roofline.push_back(total.backward_roofline);
    sums.backward_measured.push_back(total.backward_measured);
  };
  append();
  for (const Unit& unit : network.units()) {
    for (auto i = unit.first.index(); i < unit.end.index(); ++i) {
      const LayerTimes times = times_of(network.layers()[i], problem_, device_kind, micro_batch);
      total.forward_launch += times.forward_launch;
      total.forward_roofline += times.forward_roofline;
      total.forward_measured += times.forward_measured;
      total.backward_launch += times.backward_launch;
      total.backward_roofline += times.backward_roofline;
      total.backward_measured += times.backward_measured;
    }
    append();
  }
  return tables_.emplace(key, std::move(sums)).first->second;
}

SpanSeconds CostModel::span(std::int32_t first, std::int32_t end, DeviceKindId kind, std::int64_t micro_batch) {
  const Table& sums = table(kind, micro_batch);
  const auto a = static_cast<std::size_t>(first);
  const auto b = static_cast<std::size_t>(end);
  const auto between = [a, b](const std::vector<double>& values) { return Seconds(values[b] - values[a]); };
  return {
      soft_maximum(between(sums.forward_launch), between(sums.forward_roofline)) + between(sums.forward_measured),
      soft_maximum(between(sums.backward_launch), between(sums.backward_roofline)) + between(sums.backward_measured)};
}

Seconds CostModel::update(std::int32_t first, std::int32_t end, DeviceKindId kind) const {
  const std::int64_t count = parameters(first, end);
  if (count == 0) return Seconds(0.0);
  // Everything is read and all but the gradient is written.
  const ParameterBytes bytes = parameter_bytes(problem_.training);
  const auto moved = static_cast<double>(count * (2 * bytes.weight + bytes.gradient + 2 * bytes.optimizer_state));
  const DeviceKind& device_kind = problem_.cluster->kind(kind);
  if (device_kind.update_bandwidth > BytesPerSecond(0.0))
    return device_kind.instruction_overhead + Seconds(moved / device_kind.update_bandwidth.value());
  return device_kind.instruction_overhead +
         soft_maximum(device_kind.launch * kUpdateKernels,
                      roofline(device_kind, problem_.training.precision, ComputeClass::Elementwise, Flops(0.0), moved,
                               static_cast<double>(count)));
}

Seconds CostModel::loss(DeviceKindId kind, std::int64_t micro_batch) const {
  const DeviceKind& device_kind = problem_.cluster->kind(kind);
  if (problem_.profile != nullptr)
    if (const auto sample = problem_.profile->at(device_kind.name, std::string(kLossInProfile), micro_batch))
      return device_kind.instruction_overhead + sample->forward;
  return device_kind.instruction_overhead + device_kind.launch * kLossKernels;
}

std::int64_t CostModel::parameters(std::int32_t first, std::int32_t end) const {
  return parameter_sums_[static_cast<std::size_t>(end)] - parameter_sums_[static_cast<std::size_t>(first)];
}
std::int64_t CostModel::buffers(std::int32_t first, std::int32_t end) const {
  return buffer_sums_[static_cast<std::size_t>(end)] - buffer_sums_[static_cast<std::size_t>(first)];
}

Bytes largest(const std::vector<Workspace>& workspaces, std::int64_t micro_batch) {
  Bytes result(0);
  for (const Workspace& one : workspaces) result = std::max(result, one.per_sample * micro_batch + one.fixed);
  return result;
}

LossSizes CostModel::loss_sizes(std::int64_t micro_batch) const {
  const Layer& last = problem_.network->layers().back();
  const std::int64_t elements = last.costs.output_elements * micro_batch;
  const std::int64_t element = bytes_per_element(problem_.training.precision);
  const std::int64_t float32 = bytes_per_element(Precision::Float32);
  const bool converts = element != float32;  // the output, then its logarithms, then their gradient
  const std::int64_t outputs = last.costs.saves_output ? 0 : elements * element;
  return {Bytes(outputs + elements * float32 * (converts ? 2 : 1)), Bytes(elements * element)};
}

OperandCopies CostModel::operand_copies() const {
  const auto& kinds = problem_.cluster->description().kinds;
  const bool copies =
      std::any_of(kinds.begin(), kinds.end(), [](const DeviceKind& kind) { return kind.copies_layout; });
  if (problem_.training.precision == Precision::Float32) return copies ? OperandCopies::Padded : OperandCopies::Few;
  return copies ? OperandCopies::Widened : OperandCopies::All;
}

const SpanSizes& CostModel::sizes(std::int32_t first, std::int32_t end) {
  const Network& network = *problem_.network;
  std::optional<SpanSizes>& cached =
      sizes_[static_cast<std::size_t>(first) * (network.unit_count() + 1) + static_cast<std::size_t>(end)];
  if (cached) return *cached;
  const std::int64_t element = bytes_per_element(problem_.training.precision);
  SpanSizes sizes;
  std::vector<std::int64_t> saved(network.unit_count());  // bytes per sample, by the unit that makes them
  for (const UnitTensor& tensor : network.unit_tensors())
    if (is_saved_within(tensor, first, end)) saved[tensor.producer.index()] += tensor.elements * element;
  const auto copies = static_cast<std::size_t>(operand_copies());
  // While a unit computes, what later units save is not there yet, or no more.
  for (auto u = static_cast<std::size_t>(end); u-- > static_cast<std::size_t>(first);) {
    const UnitCosts& costs = network.unit_costs()[u];
    const Bytes forward(costs.forward_peak_elements[copies] * element);
    add_workspace(sizes.forward_workspaces, {forward - sizes.saved, Bytes(costs.forward_copy_elements * element)});
    const Bytes backward((costs.backward_peak_elements[copies] - gradients_elsewhere(network, UnitId(u), first, end)) *
                         element);
    const std::int64_t weights = copies == static_cast<std::size_t>(OperandCopies::Widened)
                                     ? costs.widened_copy_elements
                                     : costs.backward_copy_elements;
    add_workspace(sizes.backward_workspaces, {backward - sizes.saved, Bytes(weights * element)});
    sizes.saved += Bytes(saved[u] + costs.saved_elements * element + costs.saved_bytes);
    sizes.input += Bytes(input_uses_[u].elements * element);
    sizes.is_input_saved = sizes.is_input_saved || input_uses_[u].is_saved;
  }
  cached = sizes;
  return *cached;
}

bool is_saved_within(const UnitTensor& tensor, std::int32_t first, std::int32_t end) {
  const bool is_produced = tensor.producer.value() >= first && tensor.producer.value() < end;
  if (is_produced && tensor.is_saved_by_producer) return true;
  for (std::size_t i = 0; i < tensor.consumers.size(); ++i) {
    const std::int32_t unit = tensor.consumers[i].value();
    if (unit >= first && unit < end && tensor.is_saved_by_consumer[i]) return true;
  }
  return false;
}

Bytes CostModel::saved_bytes(std::int32_t first, std::int32_t end) {
  const std::int64_t element = bytes_per_element(problem_.training.precision);
  const SpanSizes& own = sizes(first, end);
  Bytes total = own.saved + (own.is_input_saved ? own.input : Bytes(0));
  for (const UnitTensor& tensor : problem_.network->unit_tensors())
    if (tensor.producer.value() < first && is_saved_within(tensor, first, end))
      total += Bytes(tensor.elements * element);
  return total;
}

Bytes CostModel::state_bytes(std::int32_t first, std::int32_t end) const {
  const ParameterBytes bytes = parameter_bytes(problem_.training);
  return Bytes(parameters(first, end) * (bytes.weight + bytes.gradient + bytes.optimizer_state) +
               buffers(first, end) * 4);
}

}  // namespace gabra
