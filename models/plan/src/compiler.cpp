// SPDX-License-Identifier: MIT
#include "gabra/plan/compiler.hpp"

#include "gabra/core/check.hpp"
#include "scheduler.hpp"

#include <optional>

namespace gabra {
namespace {

/// What occupied `device` when it held most, from the Program's memory events.
MemoryBreakdown breakdown_at_peak(const Program& program, DeviceId device) {
  MemoryBreakdown now = program.static_memory[device.index()];
  MemoryBreakdown worst = now;
  std::int64_t in_use = 0;
  std::int64_t most = 0;
  for (const MemoryEvent& event : program.memory_events) {
    if (event.device != device) continue;
    now[static_cast<std::size_t>(event.category)] += event.delta;
    in_use += event.delta.value();
    if (in_use <= most) continue;
    most = in_use;
    worst = now;
  }
  return worst;
}

/// The device that is furthest over its memory.
std::optional<Infeasible> find_shortage(const Program& program, const Cluster& cluster) {
  std::optional<Infeasible> worst;
  for (const DeviceId device : program.devices) {
    const Bytes required = program.peak_memory[device.index()];
    const Bytes available = cluster.kind_of(device).memory;
    if (required <= available) continue;
    if (worst && required - available <= worst->excess()) continue;
    worst = Infeasible{Infeasible::Reason::Memory, {}, device, required, available, {}};
  }
  if (worst) worst->breakdown = breakdown_at_peak(program, worst->device);
  return worst;
}

}  // namespace

std::variant<Program, Infeasible> Compiler::compile(const Plan& plan) {
  if (const std::vector<std::string> faults = find_faults(problem(), plan); !faults.empty())
    return Infeasible{Infeasible::Reason::Structure, faults.front(), {}, {}, {}, {}};
  Program program = Scheduler(costs_, plan).run();
  const std::string violation = find_violation(program, plan.micro_batches, plan.stages.size());
  GABRA_CHECK(violation.empty(), violation);
  if (std::optional<Infeasible> shortage = find_shortage(program, *problem().cluster)) return *std::move(shortage);
  return program;
}

}  // namespace gabra
