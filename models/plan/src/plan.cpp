// SPDX-License-Identifier: MIT
#include "gabra/plan/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra {

std::string_view to_text(Schedule schedule) {
  switch (schedule) {
    case Schedule::Sequential:
      return "sequential";
    case Schedule::GPipe:
      return "gpipe";
    case Schedule::OneForwardOneBackward:
      break;
  }
  return "1f1b";
}

std::string_view to_text(Recompute recompute) {
  switch (recompute) {
    case Recompute::Never:
      return "never";
    case Recompute::Always:
      return "always";
    case Recompute::ExceptLast:
      break;
  }
  return "except_last";
}

std::string_view to_text(Optimizer optimizer) { return optimizer == Optimizer::SgdMomentum ? "sgd_momentum" : "adamw"; }

std::string_view to_text(Precision precision) { return precision == Precision::Float32 ? "float32" : "bfloat16"; }

std::string_view to_text(GradientSum sum) { return sum == GradientSum::Plain ? "plain" : "wide"; }

namespace {

void check_units(const Stage& stage, std::int32_t expected, std::int32_t unit_count, const std::string& where,
                 std::vector<Fault>& faults) {
  if (stage.first_unit != expected)
    faults.push_back({where + ".first_unit", fmt::format("unit {}", stage.first_unit),
                      fmt::format("{}: stages are consecutive and cover units 0 to {}", expected, unit_count - 1)});
  if (stage.end_unit <= stage.first_unit)
    faults.push_back({where + ".last_unit", fmt::format("unit {}", stage.end_unit - 1),
                      fmt::format("at least the first unit, {}", stage.first_unit)});
  else if (stage.end_unit > unit_count)
    faults.push_back({where + ".last_unit", fmt::format("unit {}", stage.end_unit - 1),
                      fmt::format("at most {}, the network's last unit", unit_count - 1)});
}

void check_devices(const Problem& problem, const Plan& plan, const Stage& stage, const std::string& where,
                   std::vector<Fault>& faults) {
  const std::size_t device_count = problem.cluster->device_count();
  if (stage.devices.empty()) faults.push_back({where + ".devices", "no device", "at least one device"});
  for (std::size_t i = 0; i < stage.devices.size(); ++i) {
    const DeviceId device = stage.devices[i];
    if (!device.is_valid() || device.index() >= device_count)
      faults.push_back({fmt::format("{}.devices[{}]", where, i), fmt::format("device {}", device.value()),
                        fmt::format("a device of the cluster, 0 to {}", device_count - 1)});
    else if (std::find(stage.devices.begin(), stage.devices.begin() + static_cast<std::ptrdiff_t>(i), device) !=
             stage.devices.begin() + static_cast<std::ptrdiff_t>(i))
      faults.push_back({fmt::format("{}.devices[{}]", where, i),
                        fmt::format("{} a second time", in_quotes(problem.cluster->device(device).name)),
                        "each device once in a stage"});
  }
  const auto replicas = static_cast<std::int64_t>(stage.devices.size());
  if (plan.micro_batches >= 1 && replicas > plan.micro_batches)
    faults.push_back({where + ".devices", fmt::format("{} replicas for {} micro-batches", replicas, plan.micro_batches),
                      "at least one micro-batch for each replica"});
}

}  // namespace

std::vector<Fault> find_plan_faults(const Problem& problem, const Plan& plan) {
  std::vector<Fault> faults;
  const std::int64_t batch = problem.training.global_batch;
  if (plan.micro_batches < 1 || batch % plan.micro_batches != 0)
    faults.push_back({"micro_batches", fmt::format("the number {}", plan.micro_batches),
                      fmt::format("a divisor of the global batch, {}", batch)});
  if (plan.bucket.value() < 1)
    faults.push_back({"bucket", fmt::format("{} bytes", plan.bucket.value()), "at least 1 byte"});
  if (plan.stages.empty()) faults.push_back({"stages", "no stage", "at least one stage"});
  const auto unit_count = static_cast<std::int32_t>(problem.network->unit_count());
  std::int32_t expected = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    // Not fmt: a search asks this of thousands of plans without a fault.
    const std::string where = "stages[" + std::to_string(i) + "]";
    check_units(stage, expected, unit_count, where, faults);
    check_devices(problem, plan, stage, where, faults);
    expected = std::max(stage.end_unit, stage.first_unit);
  }
  if (!plan.stages.empty() && expected < unit_count)
    faults.push_back({fmt::format("stages[{}].last_unit", plan.stages.size() - 1), fmt::format("unit {}", expected - 1),
                      fmt::format("{}: the stages together cover all units", unit_count - 1)});
  return faults;
}

std::vector<std::string> find_faults(const Problem& problem, const Plan& plan) {
  std::vector<std::string> texts;
  for (const Fault& fault : find_plan_faults(problem, plan)) texts.push_back(to_text(fault));
  return texts;
}

}  // namespace gabra
